# SPDX-License-Identifier: MIT
"""A peer's address: as it is compared with the allow-list, and as logs and status name it.

A socket that listens for both versions of IP sees an IPv4 peer as `::ffff:10.0.0.1` (RFC 4291, section 2.5.5.2); that
is no address that anybody has given the peer, so it is never shown.
"""

from __future__ import annotations

import ipaddress


def unmapped(address: str) -> str:
    """`address`, an IPv4 one as IPv4; what is no address (a name) as it is."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(found.ipv4_mapped) if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped else address


def name(address: str, port: int) -> str:
    """`10.0.0.1:7700`, `board:7700`, `[fe80::1%eth0]:7700`."""
    host = unmapped(address)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
