"""`accelerate launch` that passes signals on to the training's processes and returns their status.

    python -m c2ser.training.launch [OPTION OF accelerate launch]... -m c2ser.bin.train_c2ser ...

torchrun itself ends with status 1 for any status of its processes. It gives them 30 s after SIGTERM, which can be too
short for a checkpoint, and SIGUSR1 kills it while its processes go on.
"""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

import psutil
from accelerate.commands.launch import launch_command, launch_command_parser
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from c2ser.log import get_logger

logger = get_logger(__name__)

PASSED_ON = (signal.SIGTERM, signal.SIGUSR1)
"""Signals that the processes of the training answer themselves: they save and stop."""


def launch(args: Sequence[str]) -> int:
    """Run what `accelerate launch` would run, and return its status.

    Args:
        args: the options and the command.

    Returns:
        0, or the status of the first process that failed, 128 + the signal for one that was killed.
    """
    for number in PASSED_ON:
        signal.signal(number, _pass_on)
    os.environ["PET_SIGNALS_TO_HANDLE"] = "SIGINT,SIGHUP,SIGQUIT"  # torchrun then leaves these handlers in their place
    try:
        launch_command(launch_command_parser().parse_args([*args]))
    except ChildFailedError as error:
        rank, first = error.get_first_failure()
        logger.error("process %d ended with status %d", rank, first.exitcode)
        return first.exitcode if first.exitcode > 0 else 128 - first.exitcode
    return 0


def _pass_on(number: int, frame: FrameType | None) -> None:
    """Send a signal to the processes of the training; before there are any, exit."""
    workers = [child for child in psutil.Process().children() if _trains(child)]
    if not workers:
        raise SystemExit(128 + number)
    for worker in workers:
        with suppress(psutil.NoSuchProcess):
            worker.send_signal(number)


def _trains(process: psutil.Process) -> bool:
    try:
        return "LOCAL_RANK" in process.environ()
    except psutil.Error:  # it has ended
        return False


if __name__ == "__main__":
    raise SystemExit(launch(sys.argv[1:]))
