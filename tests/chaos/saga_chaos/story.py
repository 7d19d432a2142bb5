"""The transition check: is what the log says of one saga a story that may happen?

Written by hand from docs/semantics.md, for definitions whose steps follow one after the
other. A story is read record by record; whatever does not fit is a violation, by its name:

    L3  the chain of a saga's records has a gap
    L4  a record that cannot stand where it stands
    L5  something after the end
    C2  a compensation of a step that has no command
    C3  a compensation before a later step is settled
    C5  a new action after the saga has turned back
    C6  back, though the pivot is passed or in doubt
    C7  ended compensated with a step that may have run and was not undone
    T1  parked for a reason that this run does not allow
    E6  a reply that is another command's
"""

import json


class Recipe:
    """A definition, as its DEFINITION_LOADED has it."""

    def __init__(self, record):
        definition = json.loads(record["payload"])
        participants = definition.get("participants", {})
        self.name = definition["saga"]
        self.steps = definition["steps"]
        self.names = [step["name"] for step in self.steps]
        self.pivot = next((i for i, step in enumerate(self.steps) if step.get("pivot")), None)
        self.fenced = [
            participants.get(step["command"].split(".")[0], {}).get("fenced", False)
            for step in self.steps
        ]

    def undo(self, step):
        """How a step is undone: by "compensation", by a "fence" in its place, or None."""
        if "compensation" in self.steps[step]:
            return "compensation"
        return "fence" if "compensated_by" in self.steps[step] else None


class Command:
    def __init__(self, record):
        self.lsn = record["lsn"]
        self.closings = []  # (fact, attempt), in order
        self.verdicts = set()

    def all_unsent(self):
        return bool(self.closings) and all(fact == "COMMAND_UNSENT" for fact, _ in self.closings)


class Story:
    def __init__(self, started, recipe, tell):
        """`tell(name, record, text)` is called for each violation."""
        self.id = started["saga"]
        self.recipe = recipe
        self.tell = tell
        self.started = started
        self.last_lsn = started["lsn"]
        self.commands = {}  # (step, incarnation, operation, revision) -> Command
        self.backward = None  # the COMPENSATION_STARTED
        self.pivot_passed = False
        self.parked = None
        self.ended = None
        self.reasons = []
        if started.get("previous_lsn"):
            tell("L3", started, f"its first record follows record {started['previous_lsn']}")

    # ------------------------------------------------------------- what is known

    def latest(self, step):
        """The step's present incarnation; 0: it has no command."""
        return max((key[1] for key in self.commands if key[0] == step), default=0)

    def of(self, step, operation):
        """The commands of the step's present incarnation."""
        incarnation = self.latest(step)
        return [command for key, command in self.commands.items()
                if key[:3] == (step, incarnation, operation)]

    def said(self, step, operation, *verdicts):
        return any(command.verdicts & set(verdicts) for command in self.of(step, operation))

    def took_effect(self, step):
        return self.said(step, "action", "done") or self.said(step, "fence", "done")

    def is_definite_no(self, step):
        """The action has no effect, and will have none."""
        believed = ("rejected", "fenced") if self.recipe.fenced[step] else ("fenced",)
        return self.said(step, "action", *believed) or self.said(step, "fence", *believed)

    def may_have_run(self, step):
        actions = self.of(step, "action")
        if not actions or self.is_definite_no(step):
            return False
        return not all(action.all_unsent() for action in actions)

    def is_settled(self, step):
        """Nothing of the step is left, or somebody has to settle it by hand."""
        if not self.may_have_run(step):
            return True
        undo = self.recipe.undo(step)
        if undo == "compensation":
            return self.said(step, "compensation", "done", "noop")
        if undo == "fence":
            return self.said(step, "fence", "done", "rejected", "fenced")
        return True

    # ---------------------------------------------------------------- one record

    def read(self, record):
        fact = record["fact"]
        if record.get("previous_lsn") != self.last_lsn:
            self.tell("L3", record, f"it follows record {record.get('previous_lsn')}, "
                      f"and the saga's latest is {self.last_lsn}")
        self.last_lsn = record["lsn"]
        if self.ended and fact not in ("LATE_REPLY_RECEIVED", "HISTORY_PURGED"):
            self.tell("L5", record, f"{fact} after its end (record {self.ended['lsn']})")
        reader = getattr(self, "on_" + fact.lower(), None)
        if reader is None:
            self.tell("L4", record, f"there is no fact '{fact}' in a saga")
        else:
            reader(record)

    def on_saga_started(self, record):
        self.tell("L4", record, "started twice")

    def on_command_issued(self, record):
        step, operation = record.get("step"), record.get("operation")
        key = (step, record.get("incarnation"), operation, record.get("revision"))
        if step is None or step >= len(self.recipe.steps):
            self.tell("L4", record, f"there is no step {step}")
            return
        if key in self.commands:
            self.tell("L4", record, f"{self.text(key)} was issued before")
            return
        if operation == "action":
            self.on_action(record, step)
        elif operation == "compensation":
            self.on_compensation(record, step)
        elif operation == "fence":
            self.on_fence(record, step)
        elif operation != "settle":
            self.tell("L4", record, f"there is no operation '{operation}'")
        self.commands[key] = Command(record)

    def on_action(self, record, step):
        if self.backward:
            self.tell("C5", record, f"{self.name(step)} is begun, and the saga turned back in "
                      f"record {self.backward['lsn']}")
        elif step > 0 and not self.took_effect(step - 1):
            self.tell("L4", record,
                      f"{self.name(step)} is begun before {self.name(step - 1)} is done")

    def on_compensation(self, record, step):
        if self.pivot_passed:
            self.tell("C6", record, f"{self.name(step)} is compensated behind the pivot")
        elif not self.backward:
            self.tell("L4", record, f"{self.name(step)} is compensated, and the saga goes forward")
        if self.recipe.undo(step) != "compensation":
            self.tell("L4", record, f"{self.name(step)} has no compensation")
        if not self.of(step, "action"):
            self.tell("C2", record, f"{self.name(step)} is compensated and never had a command")
        elif self.is_definite_no(step):
            self.tell("C2", record, f"{self.name(step)} is compensated and did not happen")
        self.check_order(record, step)

    def on_fence(self, record, step):
        if not self.of(step, "action"):
            self.tell("L4", record, f"a fence for {self.name(step)}, which never had a command")
        if self.pivot_passed:
            self.tell("L4", record, f"a fence for {self.name(step)} behind the pivot")
        if self.backward and self.recipe.undo(step) == "fence":
            self.check_order(record, step)

    def check_order(self, record, step):
        for later in range(step + 1, len(self.recipe.steps)):
            if not self.is_settled(later):
                self.tell("C3", record, f"{self.name(step)} is undone before {self.name(later)}, "
                          "which came after it")

    def command_of(self, record):
        key = (record.get("step"), record.get("incarnation"), record.get("operation"),
               record.get("revision"))
        if key not in self.commands:
            self.tell("L4", record, f"{record['fact']} of {self.text(key)}, which was never sent")
            return None
        return self.commands[key]

    def close_attempt(self, record):
        """Attempts are closed one after the other, each once. (A reply may be of any of
        those that were sent.)"""
        command = self.command_of(record)
        if command is None:
            return
        attempt = record.get("attempt", 0)
        latest = max((number for _, number in command.closings), default=0)
        if attempt <= latest:
            self.tell("L4", record, f"attempt {attempt} was over, like attempt {latest}")
        command.closings.append((record["fact"], attempt))

    on_command_unsent = close_attempt
    on_attempt_expired = close_attempt

    def on_reply_received(self, record):
        command = self.command_of(record)
        if command is None:
            return
        verdict = record.get("verdict")
        if verdict in ("retry", "unknown"):
            command.closings.append((verdict, record.get("attempt", 0)))
        command.verdicts.add(verdict)
        answered = body_of(record).get("id")
        own = self.command_id(record)
        if isinstance(answered, str) and answered != own:
            self.tell("E6", record, f"the reply to {own} is that to {answered}")

    on_late_reply_received = on_reply_received

    def on_cancel_requested(self, record):
        if self.backward or self.pivot_passed:
            self.tell("L4", record, "a wish to go back, when that was decided")

    def on_compensation_started(self, record):
        self.reasons.append(record.get("reason"))
        if self.backward:
            self.tell("L4", record, f"turned back before, in record {self.backward['lsn']}")
        if self.pivot_passed:
            self.tell("C6", record, "turned back behind the pivot")
        elif self.recipe.pivot is not None and self.may_have_run(self.recipe.pivot):
            self.tell("C6", record, "turned back while the pivot is in doubt")
        self.backward = record

    def on_pivot_passed(self, record):
        pivot = self.recipe.pivot
        if self.pivot_passed or self.backward:
            self.tell("L4", record, "the pivot is passed, when that was decided")
        if pivot is None or not self.took_effect(pivot):
            self.tell("L4", record, "the pivot is passed and not done")
        self.pivot_passed = True

    def on_saga_parked(self, record):
        self.parked = record

    def on_operator_acted(self, record):
        self.parked = None

    def on_saga_ended(self, record):
        outcome = record.get("outcome")
        steps = range(len(self.recipe.steps))
        if outcome == "completed":
            for step in steps:
                if not self.took_effect(step):
                    self.tell("L4", record, f"completed, and {self.name(step)} is not done")
            if self.backward:
                self.tell("L4", record, "completed, though it turned back in record "
                          f"{self.backward['lsn']}")
        elif outcome == "compensated":
            if not self.backward:
                self.tell("L4", record, "compensated, though it never turned back")
            for step in steps:
                if not self.is_settled(step):
                    self.tell("C7", record, f"compensated, and {self.name(step)} may have run and "
                              "was not undone")
        elif outcome not in ("completed_manually", "compensated_manually", "inconsistent"):
            self.tell("L4", record, f"there is no outcome '{outcome}'")
        self.parked = None
        self.ended = record

    # ---------------------------------------------------------------------- text

    def name(self, step):
        return f"step {self.recipe.names[step]}"

    def text(self, key):
        step = key[0]
        known = isinstance(step, int) and step < len(self.recipe.names)
        return "/".join(str(part) for part in (self.recipe.names[step] if known else step, *key[1:]))

    def command_id(self, record):
        return "/".join((self.id, self.recipe.names[record["step"]], str(record["incarnation"]),
                         record["operation"], str(record["revision"])))


def body_of(record):
    """The reply's body, if it is an object of JSON."""
    try:
        body = json.loads(record.get("payload", ""))
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
