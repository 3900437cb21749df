"""Entry points run as a command line would run them, but in the process of the tests: importing torch takes seconds."""

import contextlib
import io
import logging
import os
import subprocess
from unittest import mock

from c2ser.__main__ import main


def run_entry(name, *args, check=False, **environment):
    """Run `c2ser NAME ARGS…` and return its status and output as subprocess.run does.

    Each entry point also has a test in a process of its own, in test_cli.py.
    """
    command = [name, *map(str, args)]
    output, errors, status = io.StringIO(), io.StringIO(), 0
    # pytest has handlers of its own there
    handlers = [handler for handler in logging.getLogger("c2ser").handlers if type(handler) is logging.StreamHandler]
    with (
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
        mock.patch.dict(os.environ, environment),
        contextlib.ExitStack() as stack,
    ):
        for handler in handlers:
            stack.callback(handler.setStream, handler.setStream(errors))
        try:
            main(command)
        except SystemExit as end:
            status = end.code or 0
    result = subprocess.CompletedProcess(command, status, output.getvalue(), errors.getvalue())
    assert status == 0 or not check, result.stderr
    return result
