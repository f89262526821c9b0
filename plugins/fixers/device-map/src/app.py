"""The component: joins `device_map` to the contract's world `fixer`."""

import functools
import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import config, edits, facts, view
from wit_world.imports.errors import Error, ErrorCode, Severity

import device_map


class Guest:
    """The guest as the host shows it, and the recorder of edits."""

    def settings(self):
        return json.loads(config.settings())

    def disk_bus(self):
        return facts.target().disk_bus

    def read(self, path, most):
        """Up to `most` + 1 bytes of a file; none where there is none."""
        try:
            return view.read_at(path, 0, most + 1)
        except Err as error:
            if error.value.code is ErrorCode.NOT_FOUND:
                return None
            raise

    def remove(self, path, reason):
        edits.remove(path, reason)

    def warn(self, message):
        edits.note(Severity.WARN, message)


def errors_as_records(function):
    """An exception that nobody caught would be a trap without a text; this makes it the
    contract's error record."""

    @functools.wraps(function)
    def wrapped(*arguments):
        try:
            return function(*arguments)
        except Err:
            raise
        except Exception as error:
            text = f"the device-map fixer failed: {type(error).__name__}: {error}"
            hint = "this is a mistake in the plugin; --set device-map.mode=noop leaves it out"
            raise Err(Error(ErrorCode.OTHER, text, hint, None)) from error

    return wrapped


class Fixing(exports.Fixing):
    @errors_as_records
    def fix(self):
        device_map.fix(Guest())
