# SPDX-License-Identifier: MIT
"""The service's errors, by who must act.

* `RefusedError`: a request over the control socket is wrong or comes at the wrong time; the message says what is valid.
* `ConfigError`: the configuration file is wrong; the message names the key and what is valid.
* `DeviceError`: the capture device is missing, is another one than the image was made for, or went away.
"""

from __future__ import annotations


class CapturedError(Exception):
    """Root of all errors that are not bugs."""


class RefusedError(CapturedError):
    """The asker must change the request; nothing was done."""


class ConfigError(CapturedError):
    """Who wrote the configuration must change it."""


class DeviceError(CapturedError):
    """The device failed; the service waits for it to return."""
