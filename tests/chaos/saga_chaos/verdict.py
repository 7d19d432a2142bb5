"""The verdict: what the evidence says about what was promised.

Shares no code with the orchestrator: it knows the log's lines, the tables, and the
promises (docs/semantics.md, docs/protocol.md). Each violation has a name:

    L1  the export is not whole          L2  a gap in the log's positions
    L3 to L7, C2 to C7, E6               story.py
    L6  epochs do not rise one by one
    S1  accepted, and not in the log     S2  a key with two sagas or two inputs
    S3  a saga that nobody asked for     S4  a saga twice in the log
    E2  an effect twice                  E3  completed, and not everything took effect once
    E4  an effect without its command    E6  reply and effect do not agree
    C1  compensated, and something is left, or undone twice, or undone though never done
    C4  an action took effect after its compensation or tombstone
    T1  not ended                        T2  a saga that nothing would wake
    T7  a process that did not end well when it was asked to
    R2  a slot held by an ended saga     R4  a slot sold twice
    M3  bills that do not fit the sagas' ends
    X1  the API took back what it said   X3  dead letters where there was no poison
    O1  a cancel was accepted and the saga completed
    K1  a run that proves little: a kill with too few open sagas, too few kills, or a fault that
        was asked for and did not happen
"""

import collections
import json
import statistics

from .evidence import saga_of
from .story import Recipe, Story, body_of

# What the booking's steps leave behind: (step, event of the action, event of its undoing).
DONE = {
    "create": "BOOKING_CREATED",
    "block": "PARKING_AVAILABLE",
    "approve": "BOOKING_APPROVED",
    "authorize": "PAYMENT_SUCCESSFUL",
    "reserve": "PARKING_RESERVED",
    "confirm": "BOOKING_PAID",
}
# A step and the one whose compensation undoes it.
UNDONE_BY = {"create": "create", "block": "block", "approve": "create", "authorize": "authorize",
             "reserve": None, "confirm": None}
UNDONE = {"create": "BOOKING_REJECTED", "block": "PARKING_UNBLOCKED", "authorize": "BILL_REFUNDED"}
TOTAL_DEFAULT = 10000
ENDS = ("completed", "compensated")


class Violation(collections.namedtuple("Violation", "name saga text")):
    def __str__(self):
        return f"{self.name} {self.saga or '-'}: {self.text}"


class Verdict:
    def __init__(self, evidence):
        self.evidence = evidence
        self.rules = evidence.run.get("rules", {})
        self.violations = []
        self.stories = {}  # saga -> Story
        self.recipes = {}  # lsn -> Recipe
        self.effects = collections.defaultdict(list)  # saga -> [Effect]
        self.accepted = {}  # saga -> the key that the API accepted
        for effect in evidence.effects:
            self.effects[effect.saga].append(effect)
        for part in (self.read_log, self.check_starts, self.check_ends, self.check_effects,
                     self.check_replies, self.check_fences, self.check_outcomes,
                     self.check_slots, self.check_bills, self.check_reads, self.check_cancels,
                     self.check_run):
            part()

    def tell(self, name, saga, text):
        self.violations.append(Violation(name, saga, text))

    # ------------------------------------------------------------------- the log

    def read_log(self):
        status = self.evidence.run.get("export_status", 0)
        if status != 0:
            self.tell("L1", None, f"sagalog export ended with status {status}")
        expected, epoch = 1, 0
        for record in self.evidence.records:
            lsn = record.get("lsn", 0)
            if lsn != expected:
                self.tell("L2", record.get("saga"), f"record {expected} is missing: {lsn} follows")
            expected = lsn + 1
            epoch = self.check_epoch(record, epoch)
            self.read_record(record)

    def check_epoch(self, record, epoch):
        now = record.get("epoch", 0)
        rise = 1 if record["fact"] == "EPOCH_STARTED" else 0
        if now != epoch + rise:
            self.tell("L6", record.get("saga"), f"record {record['lsn']} is of epoch {now}, "
                      f"{'a start' if rise else 'no start'} after epoch {epoch}")
        return now

    def read_record(self, record):
        fact, saga = record["fact"], record.get("saga")
        if fact == "DEFINITION_LOADED":
            self.recipes[record["lsn"]] = Recipe(record)
        elif saga is None:
            if fact not in ("EPOCH_STARTED", "OUTCOMES_TOLD", "CHECKPOINT_COMPLETED",
                            "HISTORY_PURGED"):
                self.tell("L4", None, f"record {record['lsn']}: {fact} of no saga")
        elif saga in self.stories:
            self.stories[saga].read(record)
        elif fact != "SAGA_STARTED":
            self.tell("L4", saga, f"record {record['lsn']}: {fact} before its start")
        elif record.get("definition_lsn") not in self.recipes:
            self.tell("L4", saga, f"record {record['lsn']}: there is no definition in record "
                      f"{record.get('definition_lsn')}")
        else:
            self.stories[saga] = Story(
                record, self.recipes[record["definition_lsn"]],
                lambda name, at, text, saga=saga: self.tell(name, saga, f"record {at['lsn']}: {text}"))

    # -------------------------------------------------------------------- starts

    def check_starts(self):
        """A start key is a register that is written once."""
        asked = collections.defaultdict(list)
        for event in self.evidence.history:
            if event["op"] == "start":
                asked[event["key"]].append(event)
        logged = collections.defaultdict(list)
        for story in self.stories.values():
            logged[story.started.get("key")].append(story)
        for key, events in asked.items():
            self.check_key(key, events, logged.get(key, []))
        for key, stories in logged.items():
            for story in stories:
                if key not in asked and not self.rules.get("foreign"):
                    self.tell("S3", story.id, f"nobody has asked for a saga with the key '{key}'")

    def check_key(self, key, events, stories):
        for story in stories[1:]:
            self.tell("S2", story.id, f"key '{key}' has started saga {stories[0].id}, too")
        accepted = [event for event in events if event["status"] in (200, 201)]
        for event in accepted:
            self.accepted[event["id"]] = key
            if not stories:
                self.tell("S1", event["id"], f"key '{key}' was answered {event['status']}, and no "
                          "record says that it was started")
                break
            if event["id"] != stories[0].id:
                self.tell("S2", event["id"],
                          f"key '{key}' was answered with this id, and its saga is {stories[0].id}")
        created = [event for event in accepted if event["status"] == 201]
        for event in created[1:]:
            self.tell("S2", event["id"], f"key '{key}' was answered 201 twice")
        if stories:
            self.check_input(key, events, stories[0])

    def check_input(self, key, events, story):
        """All that were accepted have the saga's input; all that have another were refused."""
        try:
            started = json.loads(story.started.get("payload", "null"))
        except ValueError:
            started = None
        for event in events:
            same = event["input"] == started and event["saga"] == story.recipe.name
            if event["status"] in (200, 201) and not same:
                self.tell("S2", story.id, f"key '{key}' was accepted with the input "
                          f"{json.dumps(event['input'])}, and the saga has {json.dumps(started)}")
            if event["status"] == 409 and same:
                self.tell("S2", story.id, f"key '{key}' was refused (409) with the input that its "
                          "saga has")
        if not any(event["input"] == started for event in events):
            self.tell("S3", story.id, f"key '{key}' was never sent with the input "
                      f"{json.dumps(started)}")

    # ---------------------------------------------------------------------- ends

    def outcome(self, saga):
        story = self.stories.get(saga)
        return story.ended.get("outcome") if story is not None and story.ended else None

    def mine(self):
        """The sagas of this run: in an installation of somebody's there may be others."""
        foreign = self.rules.get("foreign")
        return [story for story in self.stories.values()
                if not foreign or story.id in self.accepted]

    def check_ends(self):
        allowed = self.rules.get("parked_allowed", [])
        for story in self.mine():
            if story.ended:
                continue
            if story.parked is None:
                self.tell("T1", story.id, f"has not ended; its latest record is {story.last_lsn}")
            elif story.parked.get("reason") not in allowed:
                self.tell("T1", story.id, f"is parked: {story.parked.get('reason')} (record "
                          f"{story.parked['lsn']})")

    # ------------------------------------------------------------------- effects

    def check_effects(self):
        count = collections.defaultdict(list)
        for effect in self.evidence.effects:
            if self.rules.get("foreign") and effect.saga not in self.accepted:
                continue
            count[effect.key].append(effect)
            self.check_intent(effect)
        for effects in count.values():
            if len(effects) > 1:
                self.tell("E2", effects[0].saga, "took effect more than once: "
                          + "; ".join(str(effect) for effect in effects))
        self.check_hanging()

    def check_intent(self, effect):
        story = self.stories.get(effect.saga)
        if story is None:
            self.tell("E4", effect.saga, f"an effect of no saga in the log: {effect}")
            return
        known = effect.step in story.recipe.names
        step = story.recipe.names.index(effect.step) if known else None
        if (step, effect.incarnation, effect.operation, effect.revision) not in story.commands:
            self.tell("E4", effect.saga, f"an effect of a command that is not in the log: {effect}")

    def check_hanging(self):
        undone = {}
        for effect in self.evidence.effects:
            row = (effect.saga, effect.step, effect.incarnation)
            if effect.operation == "compensation":
                undone[row] = effect
            elif effect.operation == "action" and row in undone:
                self.tell("C4", effect.saga, f"{effect}, after its compensation ({undone[row]})")

    def check_replies(self):
        """What a reply says took effect is what took effect, and the other way round."""
        happened = {effect.command: effect for effect in self.evidence.effects}
        for record in self.evidence.records:
            story = self.stories.get(record.get("saga"))
            if story is None or record["fact"] not in ("REPLY_RECEIVED", "LATE_REPLY_RECEIVED"):
                continue
            if record.get("operation") not in ("action", "compensation") or \
                    record.get("verdict") not in ("done", "rejected"):
                continue
            effect = happened.get(story.command_id(record))
            event = body_of(record).get("reply_state")
            if effect is None:
                if record["verdict"] == "done" and self.has_row(story, record):
                    continue
                if record["verdict"] == "done":
                    self.tell("E6", story.id, f"record {record['lsn']}: {event}, and no effect of "
                              f"{story.command_id(record)}")
            elif event != effect.what:
                self.tell("E6", story.id, f"record {record['lsn']}: {event}, and {effect}")

    def has_row(self, story, record):
        """A compensation of whatever revision is answered as the first one was."""
        return record["operation"] == "compensation" and any(
            effect.operation == "compensation" and
            effect.step == story.recipe.names[record["step"]] and
            effect.incarnation == record["incarnation"] for effect in self.effects[story.id])

    def check_fences(self):
        for fence in self.evidence.fences:
            acted = [effect for effect in self.effects[fence["saga"]]
                     if (effect.service, effect.step, effect.incarnation, effect.operation)
                     == (fence["service"], fence["step"], fence["incarnation"], "action")]
            if fence["state"] == "tombstone" and acted:
                self.tell("C4", fence["saga"], f"{acted[0]}, and its row is a tombstone")
            if fence["state"] in ("done", "compensated") and not acted:
                self.tell("E6", fence["saga"], f"{fence['service']}.db: the row of "
                          f"{fence['step']}/{fence['incarnation']} is {fence['state']}, and there "
                          "is no effect")

    # ------------------------------------------------------------------ outcomes

    def times(self, saga, step, operation, what):
        return sum(effect.step == step and effect.operation == operation and effect.what == what
                   for effect in self.effects[saga])

    def check_outcomes(self):
        rows = collections.defaultdict(list)
        for row in self.evidence.bookings:
            rows[saga_of(row["reference"])].append(row)
        for story in self.mine():
            outcome = self.outcome(story.id)
            if outcome == "completed":
                self.check_completed(story, rows[story.id])
            elif outcome == "compensated":
                self.check_compensated(story, rows[story.id])

    def check_completed(self, story, bookings):
        for step, what in DONE.items():
            count = self.times(story.id, step, "action", what)
            if count != 1:
                self.tell("E3", story.id, f"completed, and {what} happened {count} times")
        for effect in self.effects[story.id]:
            if effect.operation != "action":
                self.tell("E3", story.id, f"completed, and undone: {effect}")
        if [row["status"] for row in bookings] != ["paid"]:
            self.tell("E3", story.id, f"completed, and its booking is {describe(bookings)}")
        slot = json.loads(story.started["payload"]).get("parking_slot_uuid")
        held = [row for row in self.evidence.slots if saga_of(row["holder"]) == story.id]
        if [(row["uuid"], row["status"]) for row in held] != [(slot, "reserved")]:
            self.tell("E3", story.id, f"completed, and its slot {slot} is not reserved for it")

    def check_compensated(self, story, bookings):
        for step, what in DONE.items():
            did = self.times(story.id, step, "action", what)
            undone_by = UNDONE_BY[step]
            if undone_by is None:
                if did:
                    self.tell("C1", story.id, f"compensated, and {what} happened")
            elif undone_by == step:
                undid = self.times(story.id, step, "compensation", UNDONE[step])
                if did != undid:
                    self.tell("C1", story.id, f"compensated, {what} happened {did} times and "
                              f"{UNDONE[step]} {undid} times")
        for row in bookings:
            if row["status"] != "rejected":
                self.tell("C1", story.id, f"compensated, and its booking is {row['status']}")

    # -------------------------------------------------------------- slots, bills

    def check_slots(self):
        sold = collections.defaultdict(list)
        for story in self.mine():
            if self.outcome(story.id) == "completed":
                sold[json.loads(story.started["payload"]).get("parking_slot_uuid")].append(story.id)
        for slot, sagas in sold.items():
            if len(sagas) > 1:
                self.tell("R4", sagas[0], f"slot {slot} was sold {len(sagas)} times, also to "
                          + ", ".join(sagas[1:]))
        own = self.rules.get("slots")
        for slot in self.evidence.slots:
            if slot["status"] == "available" or (own is not None and slot["uuid"] not in own):
                continue
            holder = saga_of(slot["holder"])
            outcome = self.outcome(holder)
            if outcome is None and holder in self.stories and slot["status"] == "blocked":
                continue  # an open saga may hold it; T1 says what is to be said of that
            if outcome != "completed" or slot["status"] != "reserved":
                self.tell("R2", holder, f"slot {slot['uuid']} is {slot['status']} for a saga that "
                          f"is {outcome or 'not in the log'}")

    def check_bills(self):
        paid = collections.defaultdict(list)
        for bill in self.evidence.bills:
            if bill["status"] == "paid":
                paid[saga_of(bill["reference"])].append(bill)
        for story in self.mine():
            outcome = self.outcome(story.id)
            total = json.loads(story.started["payload"]).get("total", TOTAL_DEFAULT)
            bills = [bill["total"] for bill in paid.pop(story.id, [])]
            if outcome == "completed" and bills != [total]:
                self.tell("M3", story.id, f"completed, its price is {total}, and paid are {bills}")
            if outcome == "compensated" and bills:
                self.tell("M3", story.id, f"compensated, and paid are {bills}")
        if not self.rules.get("foreign"):
            for saga, bills in paid.items():
                self.tell("M3", saga, f"{len(bills)} bills are paid for a saga that is not there")

    # ---------------------------------------------------------------- the API said

    def check_reads(self):
        ended = {}  # saga -> (status, when this was heard)
        reads = [event for event in self.evidence.history if event["op"] == "get"]
        for event in sorted(reads, key=lambda event: event["end"]):
            saga, said = event["id"], event.get("state")
            known = ended.get(saga)
            if known and event["begin"] > known[1] and said != known[0]:
                self.tell("X1", saga, f"the API said '{said}' after it had said '{known[0]}'")
            if said in ENDS and known is None:
                ended[saga] = (said, event["end"])
                if self.outcome(saga) != said:
                    self.tell("X1", saga, f"the API said '{said}', and the log says "
                              f"'{self.outcome(saga)}'")

    def check_cancels(self):
        for event in self.evidence.history:
            if event["op"] == "cancel" and event.get("result") in ("accepted", "already") and \
                    self.outcome(event["id"]) == "completed":
                self.tell("O1", event["id"], f"a cancel was answered '{event['result']}'")

    # ------------------------------------------------------------------- the run

    def check_run(self):
        run = self.evidence.run
        sagas = run.get("stats", {}).get("sagas", {})
        for name in ("orphans_rearmed", "quarantined"):
            if sagas.get(name, 0):
                self.tell("T2", None, f"/v1/stats: {name} is {sagas[name]}")
        for queue, count in run.get("dead_letters", {}).items():
            if count > self.rules.get("poison", 0):
                self.tell("X3", None, f"{count} dead letters in {queue}, and "
                          f"{self.rules.get('poison', 0)} messages were poison")
        for name, status in run.get("exits", {}).items():
            if status != 0:
                self.tell("T7", None, f"{name} was asked to end: {status}")
        for text in run.get("troubles", []):
            self.tell("T1", None, text)
        self.check_kills(run.get("kills", []))

    def check_kills(self, kills):
        for name in self.evidence.run.get("owed", []):
            self.tell("K1", None, f"{name} did not happen")
        floor = self.rules.get("open_min", 0)
        for kill in kills:
            if kill["open"] < floor:
                self.tell("K1", None, f"{kill['target']} was killed with {kill['open']} open "
                          f"sagas, not {floor}")
        counts = collections.Counter(kill["target"] for kill in kills)
        for target, wanted in self.rules.get("kills", {}).items():
            if counts[target] < wanted:
                self.tell("K1", None, f"{target} was killed {counts[target]} times, not {wanted}")

    # -------------------------------------------------------------------- to read

    def lines(self):
        """What was seen, for people."""
        run = self.evidence.run
        ends = collections.Counter()
        reasons = collections.Counter()
        for story in self.mine():
            ends[self.outcome(story.id) or ("parked" if story.parked else "open")] += 1
            if self.outcome(story.id) == "compensated":
                reasons[self.why(story)] += 1
        yield (f"log: {len(self.evidence.records)} records, "
               f"{sum(r['fact'] == 'EPOCH_STARTED' for r in self.evidence.records)} starts of the "
               f"daemon, {len(self.stories)} sagas; {len(self.accepted)} accepted, "
               f"{sum(e['op'] == 'start' for e in self.evidence.history)} requests to start")
        yield "sagas: " + counted(ends)
        yield "compensated because: " + counted(reasons)
        yield (f"effects: {len(self.evidence.effects)}; paid bills: "
               f"{sum(bill['status'] == 'paid' for bill in self.evidence.bills)}, refunded: "
               f"{sum(bill['status'] == 'refunded' for bill in self.evidence.bills)}; slots "
               f"reserved: {sum(slot['status'] == 'reserved' for slot in self.evidence.slots)}, "
               f"blocked: {sum(slot['status'] == 'blocked' for slot in self.evidence.slots)}")
        yield "in the log: " + counted(collections.Counter(
            record["fact"] for record in self.evidence.records if record["fact"] in
            ("COMMAND_UNSENT", "ATTEMPT_EXPIRED", "LATE_REPLY_RECEIVED", "SAGA_PARKED",
             "CANCEL_REQUESTED", "PIVOT_PASSED"))) + ", fences " + str(sum(
                 record["fact"] == "COMMAND_ISSUED" and record.get("operation") == "fence"
                 for record in self.evidence.records))
        yield "other faults: " + counted(collections.Counter(run.get("faults", {})))
        yield kills_line(run.get("kills", []))
        yield self.answers_line(run.get("silent", []))

    def answers_line(self, silent):
        """How quick the API was, and whether a broker that says nothing makes a difference."""
        took = {False: [], True: []}
        for event in self.evidence.history:
            if event["op"] == "start" and event["status"] == 201:
                during = any(since <= event["begin"] and event["end"] <= (until or since)
                             for since, until in silent)
                took[during].append((event["end"] - event["begin"]) * 1000)
        return ("starts were answered " + quantiles(took[False])
                + (f"; while the broker was silent {quantiles(took[True])}" if silent else ""))

    def why(self, story):
        refused = {"PARKING_UNAVAILABLE": "slot unavailable", "BILL_FAILED": "payment declined",
                   "PARKING_RESERVATION_FAILED": "reservation failed"}
        if story.reasons[0] == "rejected":
            for effect in self.effects[story.id]:
                if effect.what in refused:
                    return refused[effect.what]
            # --fail answers without running business code
            step = story.recipe.names[story.backward.get("step", 0)]
            return {"reserve": "reservation failed"}.get(step, f"{step} rejected")
        return story.reasons[0]


def counted(counter):
    return ", ".join(f"{count} {name}" for name, count in counter.most_common()) or "nothing"


def describe(rows):
    return " and ".join(row["status"] for row in rows) or "not there"


def quantiles(values):
    if len(values) < 2:
        return f"{len(values)} times"
    return (f"{len(values)} times, in {statistics.median(values):.1f} ms in the median, "
            f"{statistics.quantiles(values, n=100)[98]:.1f} ms at the 99th percentile")


def kills_line(kills):
    if not kills:
        return "kills: none"
    counts = collections.Counter(kill["target"] for kill in kills)
    opens = [kill["open"] for kill in kills]
    moving = sum(kill.get("replies", 0) > 0 for kill in kills)
    return (f"kills: {len(kills)} ({counted(counts)}), with {min(opens)} sagas open at the least "
            f"and {statistics.median(opens):g} in the median; {moving} after replies had come "
            "since the kill before")
