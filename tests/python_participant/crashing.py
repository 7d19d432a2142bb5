#!/usr/bin/python3
"""examples/python/parking.py, which kills itself (SIGKILL) at a moment of its work.

    crashing.py MOMENT COMMAND ARGUMENT-OF-PARKING...

MOMENT: before-commit, before-reply (the commit is over), before-ack (the reply has left).
It dies about the first command of that name.
"""

import os
import signal
import sys

from pika.adapters.blocking_connection import BlockingChannel

from harness import ROOT

sys.path.insert(0, str(ROOT / "examples" / "python"))
import parking  # noqa: E402

moment, name = sys.argv[1:3]
del sys.argv[1:3]
commands: list[parking.Command] = []


def die_if_it_is_time(now: str) -> None:
    if now == moment and any(command.name == name for command in commands):
        os.kill(os.getpid(), signal.SIGKILL)


def carry_out(db, command):
    commands.append(command)
    reply = original_carry_out(db, command)
    die_if_it_is_time("before-commit")
    return reply


def reply_properties(command, reply):
    die_if_it_is_time("before-reply")
    return original_reply_properties(command, reply)


def basic_ack(channel, *arguments, **options):
    die_if_it_is_time("before-ack")
    return original_basic_ack(channel, *arguments, **options)


original_carry_out, parking.carry_out = parking.carry_out, carry_out
original_reply_properties, parking.reply_properties = parking.reply_properties, reply_properties
original_basic_ack, BlockingChannel.basic_ack = BlockingChannel.basic_ack, basic_ack
parking.main()
