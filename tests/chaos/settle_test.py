#!/usr/bin/python3
"""The end of a run: who is parked gets another try from a daemon that hears it."""

import os
import sys
import types
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from saga_chaos.api import NO_ANSWER  # noqa: E402  (its folder has to be known first)
from saga_chaos.command import Run  # noqa: E402


class World:
    """An API that is not there at first, and the load's one saga, parked until it is retried."""

    def __init__(self, answers):
        self.answers = list(answers)
        self.tries = 0
        self.ended = False

    def act(self, saga, verb, _reason):
        assert (saga, verb) == ("a saga", "retry")
        self.tries += 1
        status = self.answers.pop(0)
        self.ended = status == 202
        return status, None

    def unfinished(self):
        return not self.ended

    def parked(self):
        return [types.SimpleNamespace(id="a saga")]


class SettleTest(unittest.TestCase):
    def settle(self, *answers):
        world = World(answers)
        run = Run(types.SimpleNamespace(settle=1.0), folder=None)
        run.installation = types.SimpleNamespace(api=world)
        run.load = world
        run.screen = types.SimpleNamespace(show=lambda *_, **__: None)
        run.settle()
        return world, run

    def test_a_daemon_that_is_starting_is_asked_again(self):
        world, run = self.settle(NO_ANSWER, 503, 202)
        self.assertTrue(world.ended)
        self.assertEqual((world.tries, run.retried), (3, 1))

    def test_who_was_heard_is_not_asked_again(self):
        world, run = self.settle(409)
        self.assertFalse(world.ended)
        self.assertEqual((world.tries, run.retried), (1, 1))


if __name__ == "__main__":
    unittest.main()
