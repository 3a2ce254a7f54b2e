# SPDX-License-Identifier: MIT
"""The command line of `./inv`: Invoke's, with wrong input answered as everywhere else.

One message that says what is wrong, where, and what would be valid; exit status 2; before any task has begun. Invoke by
itself ends with status 1 and leaves out what is valid, with a traceback when a number is none, and takes
`--host=$BOARD` of an empty variable for "no --host given", which is another board.

    task = functools.partial(invoke.task, klass=Checked)     # options that check their values
    python -m firmware.command_line build --board=sockit     # as ./inv does
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

from invoke.exceptions import Exit, ParseError
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext
from invoke.program import Program
from invoke.tasks import Task

NUMBERS = {int: "a whole number", float: "a number"}


class Option(Argument):
    """An option that refuses an empty value, the next option as one, and what is no number where one is wanted."""

    def set_value(self, value: Any, cast: bool = True) -> None:
        """Take `value`. Raises ParseError."""
        if value == "" or str(value).startswith("--"):
            but = f", but {value!r}" if value else ""
            raise ParseError(f"{flag(self.name)}: no value{but} (valid: {flag(self.name)}=VALUE, or leave it out)")
        try:
            super().set_value(value, cast)
        except ValueError as error:
            raise ParseError(f"{flag(self.name)}: {value!r} (valid: {NUMBERS[self.kind]})") from error


class Checked(Task[Any]):
    """A task whose options are of this kind."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Invoke's arguments, made anew."""
        return [
            Option(
                names=each.names,
                kind=each.kind,
                default=each.default,
                help=each.help,
                positional=each.positional,
                optional=each.optional,
                incrementable=each.incrementable,
                attr_name=each.attr_name,
            )
            for each in super().get_arguments(ignore_unknown_help)
        ]


class CommandLine(Program):
    """Invoke's program; what it cannot read is the user's to change."""

    def parse_collection(self) -> None:
        """tasks.py."""
        with self._explained():
            super().parse_collection()

    def parse_core(self, argv: list[str] | None) -> None:
        """Options that stand before the tasks."""
        with self._explained():
            super().parse_core(argv)

    def parse_tasks(self) -> None:
        """Tasks and their options."""
        with self._explained():
            super().parse_tasks()

    def parse_cleanup(self) -> None:
        """--help and --list."""
        with self._explained():
            super().parse_cleanup()

    def no_tasks_given(self) -> None:
        """The tasks, not Invoke's own options."""
        self.list_tasks()
        raise Exit

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt as error:
            raise Exit("interrupted", code=130) from error
        except ParseError as error:
            raise Exit(f"error: {self.explain(error)}", code=2) from error
        except ValueError as error:
            raise Exit(f"error: {error} (valid: ./inv --help)", code=2) from error
        except Exit as error:
            if error.message:  # --list NAME
                raise Exit(f"error: {error.message} (valid: ./inv --list, ./inv --help TASK)", code=2) from error
            raise

    def explain(self, error: ParseError) -> str:
        """What is wrong, where, and what would be valid."""
        said, context = str(error), error.context
        if unknown := re.fullmatch(r"No idea what (['\"])(.*)\1 is!", said):
            return self._unknown(unknown[2], context)
        if bare := re.match(r"Flag <\w+: ([\w-]+)", said):
            return f"{where(context)}{flag(bare[1])}: no value (valid: {flag(bare[1])}=VALUE)"
        if context is not None and context.missing_positional_args:
            missing = context.missing_positional_args
            return "\n".join(f"{where(context)}{flag(one.name)} is missing (valid: {one.help})" for one in missing)
        return where(context) + said

    def _unknown(self, word: str, context: ParserContext | None) -> str:
        if not word.startswith("-"):
            return f"unknown task {word!r} (valid: {', '.join(sorted(self.parser.contexts))})"
        known = sorted(context.flags) if context is not None and context.name else []
        return f"{where(context)}unknown option {word!r} (valid: {', '.join(known) or './inv --help tells'})"


def flag(name: str | None) -> str:
    """An option as it is typed."""
    return "--" + (name or "").replace("_", "-")


def where(context: ParserContext | None) -> str:
    """Begin of a message: the task whose options are read."""
    return f"{context.name}: " if context is not None and context.name else ""


def program(**settings: Any) -> CommandLine:
    """The program; `settings` are Invoke's."""
    version = metadata.version("cyclone-capture-firmware")
    return CommandLine(name="Cyclone Capture", binary="./inv", binary_names=["inv"], version=version, **settings)


if __name__ == "__main__":
    program().run()
