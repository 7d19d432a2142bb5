/* Definitions that do not load: what is said, and where. How it is
 * shown, and what is too large to be read: definition_limits_test.c. */
#include "check_run.h"
#include "definition_refuse.h"

/* Three lines, so that the first step of a case is in line 4. `f` keeps the
 * fence, `u` does not. */
#define HEAD                                                                                       \
    "saga: s\n"                                                                                    \
    "participants: {f: {fenced: true}, u: {}}\n"                                                   \
    "steps:\n"
/* A step of each participant that is right in itself. */
#define F     "  - {name: ff, command: f.x, no_effect: true}\n"
#define U     "  - {name: uu, command: u.x, no_effect: true}\n"
#define PIVOT "  - {name: pp, command: f.p, pivot: true}\n"

struct bad {
    const char *text;
    const char *expected; /* "line:column: message | hint", a line each */
};

static void refuse(const struct bad *bad) {
    refuse_bytes(bad->text, strlen(bad->text), bad->expected);
}

/* ------------------------------------------------------------------- tables */

#define DURATION "a whole number and a unit: 250ms, 30s, 5m, 2h, 7d"
#define STEP_KEYS                                                                                  \
    "name, command, done, rejected, compensation, compensated_by, no_effect, pivot, timeout, "     \
    "deadline, retry, on_unknown"
#define ROOT_KEYS "saga, version, exchange, deadline, headers, participants, defaults, steps"
#define NO_WAY_BACK                                                                                \
    "before the pivot, a step needs 'compensation', 'compensated_by', or 'no_effect: true' if it " \
    "changes nothing"

static const struct bad syntax[] = {
    {"", "1:1: there is no definition in this file | a definition starts with 'saga: NAME'"},
    {"# nothing\n",
     "1:1: there is no definition in this file | a definition starts with 'saga: NAME'"},
    {"---\n...\n",
     "1:1: there is no definition in this file | a definition starts with 'saga: NAME'"},
    {"saga: s\nsteps: [\n",
     "3:1: flow sequence without a closing bracket | the bracket that opens is in line 2"},
    {"saga: s\nsteps:\n\t- x\n",
     "3:1: tab character may not be used as indentation | indent with spaces"},
    {"saga: a: b\n", "1:8: invalid nested block mapping on the same line | put quotes around a "
                     "value that has ': ' in it"},
    {"saga: \"s\n", "1:8: double-quoted scalar without closing quote | a quote that opens needs "
                    "one that closes"},
    {HEAD F U "---\nsaga: t\n", "6:1: a second document starts here | one definition a file"},
    {"saga: &a s\nsteps: *a\n",
     "1:8: anchors are not read in definitions | write the value itself, everywhere it is needed\n"
     "2:9: aliases are not read in definitions | write the value itself, everywhere it is needed"},
    {HEAD "  - {name: !!str x, command: f.x, no_effect: true}\n" U,
     "4:12: tags are not read in definitions | write the value itself, everywhere it is needed"},
    {"saga: s\n? [steps]\n: x\n",
     "2:3: a list or a mapping is no key | write 'KEY: VALUE', the key one word"},
    {"saga: s\n: x\n", "2:1: no key before the ':' | write 'KEY: VALUE', the key one word"},
    {HEAD F U "exchange: 'x\n  y'\n",
     "6:11: a value in single quotes goes on in the next line | write it in one line"},
    {"saga: s\n]\n",
     "2:1: flow sequence with invalid extra closing bracket | this is no YAML: look "
     "at indentation, quotes and brackets"},
    {"just text\n", "1:1: a definition is no mapping of keys to values | its keys are: " ROOT_KEYS},
    {"- a\n- b\n", "1:1: a definition is no mapping of keys to values | its keys are: " ROOT_KEYS},
};

static const struct bad keys[] = {
    {"{}\n", "1:1: this definition has no 'saga' | add 'saga: NAME'\n"
             "1:1: this definition has no 'steps' | add 'steps:' and a list of them"},
    {HEAD F U "verson: 2\n", "6:1: unknown key 'verson' | did you mean 'version'?"},
    {HEAD F U "colour: red\n", "6:1: unknown key 'colour' | the keys here are: " ROOT_KEYS},
    {HEAD F "  - {name: x, command: u.x, no_effect: true, timout: 30s}\n",
     "5:46: unknown key 'timout' | did you mean 'timeout'?"},
    {HEAD F "  - {name: x, command: u.x, compensation: {command: u.y, retries: 5}}\n",
     "5:58: unknown key 'retries' | the keys here are: command, done, rejected, timeout, "
     "deadline, retry"},
    {HEAD F "  - {name: x, command: u.x, no_effect: true, retry: {atempts: 5}}\n",
     "5:54: unknown key 'atempts' | did you mean 'attempts'?"},
    {"saga: s\nparticipants: {f: {fence: true}}\nsteps:\n" F,
     "2:20: unknown key 'fence' | did you mean 'fenced'?"},
    {HEAD F U "defaults: {on_unkown: park}\n",
     "6:12: unknown key 'on_unkown' | did you mean 'on_unknown'?"},
    {HEAD F U "saga: t\n", "6:1: duplicate key 'saga' | the first one is in line 1"},
    {HEAD F "  - {name: x, command: u.x, no_effect: true, name: y}\n",
     "5:46: duplicate key 'name' | the first one is in line 5"},
    {HEAD F U "version:\n", "6:1: 'version' has no value | a whole number from 1 to 4294967295, "
                            "without quotes"},
    {HEAD F U "deadline: [1s]\n",
     "6:11: 'deadline' is a list where a value should be | " DURATION "; or none"},
    {HEAD F U "version: {a: b}\n", "6:11: 'version' is a mapping where a value should be | a whole "
                                   "number from 1 to 4294967295, without quotes"},
    {"saga: s\nsteps: {a: b}\n",
     "2:1: 'steps' is no list of steps | write one '- name: NAME' for each step"},
    {"saga: s\nsteps: []\n",
     "2:1: a saga needs at least one step | write one '- name: NAME' for each step"},
    {HEAD F U "  - 5\n",
     "6:5: this step is no mapping of keys to values | its keys are: " STEP_KEYS "\n"
     "6:5: this step has no compensation | " NO_WAY_BACK},
};

static const struct bad names[] = {
    {"steps:\n" F, "1:1: this definition has no 'saga' | add 'saga: NAME'"},
    {"saga: a b\nsteps:\n" F,
     "1:7: 'a b' is no saga name | letters, digits, '-', '_' and '.', a letter or digit first"},
    {"saga: -a\nsteps:\n" F,
     "1:7: '-a' is no saga name | letters, digits, '-', '_' and '.', a letter or digit first"},
    {"saga: \"\"\nsteps:\n" F, "1:7: a saga name should be here | letters, digits, '-', '_' and "
                               "'.', a letter or digit first"},
    {"saga: s\xc3\xa4\nsteps:\n" F,
     "1:7: 's\xc3\xa4' is no saga name | letters, digits, '-', '_' and '.', a letter or digit "
     "first"},
    {"saga: \"a\\0b\"\nsteps:\n" F,
     "1:7: 'a?b' is no saga name | letters, digits, '-', '_' and '.', a letter or digit first"},
    {HEAD F "  - {command: u.x, no_effect: true}\n",
     "5:6: this step has no 'name' | add 'name: NAME'"},
    {HEAD F "  - {name: [x], command: u.x, no_effect: true}\n",
     "5:12: a step name should be here | letters, digits, '-' and '_', a letter or digit first"},
    {HEAD F "  - {name: a.b, command: u.x, no_effect: true}\n",
     "5:12: 'a.b' is no step name | letters, digits, '-' and '_', a letter or digit first"},
    {HEAD F U "  - {name: ff, command: f.y, no_effect: true}\n",
     "6:12: two steps are called 'ff' | the first is 'ff' in line 4; rename one"},
    {HEAD F U "  - {name: x, no_effect: true}\n",
     "6:6: this step has no 'command' | add 'command: PARTICIPANT.COMMAND'"},
    {HEAD F U "  - {name: x, command: block, no_effect: true}\n",
     "6:24: 'block' is no command | write PARTICIPANT.COMMAND, as in parking.block"},
    {HEAD F U "  - {name: x, command: f..y, no_effect: true}\n",
     "6:24: 'f..y' is no command | write PARTICIPANT.COMMAND, as in parking.block"},
    {HEAD F U "  - {name: x, command: f.y., no_effect: true}\n",
     "6:24: 'f.y.' is no command | write PARTICIPANT.COMMAND, as in parking.block"},
    {HEAD F U "  - {name: x, command: f.fence, no_effect: true}\n",
     "6:24: 'f.fence' is a command of the protocol itself | choose another name"},
    {HEAD F U "  - {name: x, command: f.y, compensation: {command: f.settle}}\n",
     "6:53: 'f.settle' is a command of the protocol itself | choose another name"},
    {HEAD F U "exchange: a b\n", "6:11: 'a b' is no exchange name | letters, digits, '-', '_', '.' "
                                 "and ':', a letter or digit first"},
    {HEAD F U "headers: 5\n",
     "6:1: 'headers' is no mapping of names to values | write {NAME: VALUE}"},
    {HEAD F U "headers: {COMMAND: x, saga-id: y, TraceParent: z}\n",
     "6:11: header 'COMMAND' is set by the orchestrator | remove it\n"
     "6:23: header 'saga-id' is set by the orchestrator | remove it\n"
     "6:35: header 'TraceParent' is set by the orchestrator | remove it"},
    {HEAD F U "headers: {A: \"x\\ny\"}\n",
     "6:14: 'A' has a character that is no printable ASCII | a header goes over wires that carry "
     "one line of ASCII"},
    {HEAD F U "headers: {A: }\n", "6:11: 'A' has no value | write its text"},
    {HEAD F U "headers: {'a b': x}\n",
     "6:11: 'a b' is no header name | letters, digits, '-' and '_', a letter or digit first"},
};

static const struct bad events[] = {
    {HEAD F "  - {name: x, command: u.x, no_effect: true, done: OK}\n",
     "5:52: 'done' is no list of events | write [OK]"},
    {HEAD F "  - {name: x, command: u.x, no_effect: true, done: }\n",
     "5:46: 'done' is no list of events | write [EVENT, EVENT]"},
    {HEAD F "  - {name: x, command: u.x, no_effect: true, done: {A: B}}\n",
     "5:53: 'done' is no list of events | write [EVENT, EVENT]"},
    {HEAD F "  - {name: x, command: u.x, no_effect: true, done: [A, A]}\n",
     "5:56: event 'A' is listed twice | remove it"},
    {HEAD F "  - {name: x, command: u.x, no_effect: true, done: [A, B], rejected: [C, B]}\n",
     "5:74: event 'B' is listed under 'done' and under 'rejected' | an event is the one or the "
     "other"},
    {HEAD F "  - {name: x, command: u.x, no_effect: true, rejected: [done, retry]}\n",
     "5:57: 'done' is a word of the protocol, no event | remove it: it means what it says without "
     "being listed\n"
     "5:63: 'retry' is a word of the protocol, no event | remove it: it means what it says without "
     "being listed"},
    {HEAD F "  - {name: x, command: u.x, no_effect: true, done: ['a b', [c]]}\n",
     "5:53: 'a b' is no event name | letters, digits, '-', '_', '.' and ':', a letter or digit "
     "first\n"
     "5:60: a event name should be here | letters, digits, '-', '_', '.' and ':', a letter or "
     "digit first"},
    {HEAD F "  - {name: x, command: u.x, compensation: {command: u.y, done: [A], rejected: [A]}}\n",
     "5:80: event 'A' is listed under 'done' and under 'rejected' | an event is the one or the "
     "other"},
};

static const struct bad values[] = {
    {HEAD F U "version: 0\n", "6:10: 'version' is '0'; that is out of range | a whole number from "
                              "1 to 4294967295, without quotes"},
    {HEAD F U "version: 4294967296\n", "6:10: 'version' is '4294967296'; that is out of range | a "
                                       "whole number from 1 to 4294967295, without quotes"},
    {HEAD F U "version: 99999999999999999999999\n",
     "6:10: 'version' is '99999999999999999999999'; that is out of range | a whole number from 1 "
     "to 4294967295, without quotes"},
    {HEAD F U "version: 1.5\n", "6:10: 'version' is '1.5'; that is no whole number | a whole "
                                "number from 1 to 4294967295, without quotes"},
    {HEAD F U "version: \"1\"\n", "6:10: 'version' is '1'; that is no whole number | a whole "
                                  "number from 1 to 4294967295, without quotes"},
    {HEAD F U "version: -1\n", "6:10: 'version' is '-1'; that is no whole number | a whole number "
                               "from 1 to 4294967295, without quotes"},
    {HEAD F "  - {name: x, command: u.x, no_effect: yes}\n",
     "5:40: 'no_effect' is 'yes'; that is neither true nor false | write true or false"},
    {HEAD F "  - {name: x, command: u.x, no_effect: \"true\"}\n",
     "5:40: 'no_effect' is 'true'; that is neither true nor false | write true or false, without "
     "quotes"},
    {HEAD F "  - {name: x, command: u.x, pivot: True}\n",
     "5:36: 'pivot' is 'True'; that is neither true nor false | write true or false"},
    {HEAD F U "deadline: 30\n",
     "6:11: 'deadline' is '30'; that is no duration | it needs a unit; did you mean '30s'?"},
    {HEAD F U "deadline: 1.5s\n",
     "6:11: 'deadline' is '1.5s'; that is no duration | " DURATION "; or none"},
    {HEAD F U "deadline: 1m30s\n",
     "6:11: 'deadline' is '1m30s'; that is no duration | " DURATION "; or none"},
    {HEAD F U "deadline: 5 m\n",
     "6:11: 'deadline' is '5 m'; that is no duration | " DURATION "; or none"},
    {HEAD F U "deadline: -5m\n",
     "6:11: 'deadline' is '-5m'; that is no duration | " DURATION "; or none"},
    {HEAD F U "deadline: 10001d\n",
     "6:11: 'deadline' is '10001d'; that is no duration | " DURATION "; or none"},
    {HEAD F U "deadline: 99999999999999999999s\n",
     "6:11: 'deadline' is '99999999999999999999s'; that is no duration | " DURATION "; or none"},
    {HEAD F U "deadline: 0s\n",
     "6:11: 'deadline' is '0s'; 1ms is the least | write none for no limit"},
    {HEAD F U "defaults: {timeout: none}\n", "6:21: 'timeout' cannot be none | " DURATION},
    {HEAD F U "defaults: {timeout: 0ms}\n",
     "6:21: 'timeout' is '0ms'; 1ms is the least | choose a longer one"},
    {HEAD F U "defaults: 10s\n", "6:11: 'defaults' is no mapping of keys to values | its keys are: "
                                 "timeout, deadline, retry, on_unknown"},
    {HEAD F U "defaults: {retry: 5}\n", "6:19: 'retry' is no mapping of keys to values | its keys "
                                        "are: attempts, initial, max, factor"},
    {HEAD F U "defaults: {retry: {attempts: 0}}\n",
     "6:30: 'attempts' is '0'; that is out of range | a whole number from 1 to 250, without "
     "quotes; or unlimited"},
    {HEAD F U "defaults: {retry: {attempts: 251}}\n",
     "6:30: 'attempts' is '251'; that is out of range | a whole number from 1 to 250, without "
     "quotes; or unlimited"},
    {HEAD F U "defaults: {retry: {initial: 99ms, max: 99ms}}\n",
     "6:29: 'initial' is '99ms'; 100ms is the least | choose a longer one\n"
     "6:40: 'max' is '99ms'; 100ms is the least | choose a longer one"},
    {HEAD F U "defaults: {retry: {initial: 61s}}\n",
     "6:29: 'initial' is longer than 'max' | set both: what is not set is inherited"},
    {HEAD F U "defaults: {retry: {max: 100ms}}\n",
     "6:25: 'initial' is longer than 'max' | set both: what is not set is inherited"},
    {HEAD F U "defaults: {retry: {factor: 0.999}}\n",
     "6:28: 'factor' is '0.999'; that is out of range | a number from 1 to 1000 with at most 3 "
     "decimals, without quotes"},
    {HEAD F U "defaults: {retry: {factor: 1.0001}}\n",
     "6:28: 'factor' is '1.0001'; that is no such number | a number from 1 to 1000 with at most 3 "
     "decimals, without quotes"},
    {HEAD F U "defaults: {retry: {factor: 1e3}}\n",
     "6:28: 'factor' is '1e3'; that is no such number | a number from 1 to 1000 with at most 3 "
     "decimals, without quotes"},
    {HEAD F U "defaults: {retry: {factor: 1000.001}}\n",
     "6:28: 'factor' is '1000.001'; that is out of range | a number from 1 to 1000 with at most 3 "
     "decimals, without quotes"},
    {HEAD F U "defaults: {on_unknown: fense}\n",
     "6:24: 'on_unknown' cannot be 'fense' | did you mean 'fence'?"},
    {HEAD F U "defaults: {on_unknown: abort}\n",
     "6:24: 'on_unknown' cannot be 'abort' | one of: fence, compensate, park"},
};

static const struct bad participants[] = {
    {HEAD F, "2:35: no step has a command of participant 'u' | remove it, or correct its name"},
    {"saga: s\nparticipants: {parking: {fenced: true}}\nsteps:\n"
     "  - {name: x, command: parkng.block, no_effect: true}\n",
     "2:16: no step has a command of participant 'parking' | remove it, or correct its name\n"
     "4:24: participant 'parkng' is not listed under 'participants' | did you mean 'parking'?"},
    {HEAD F U "  - {name: x, command: mail.send, no_effect: true}\n",
     "6:24: participant 'mail' is not listed under 'participants' | add 'mail: {fenced: true}', or "
     "false, to them"},
    {"saga: s\nparticipants: {-: {}, parking: {}}\nsteps:\n"
     "  - {name: x, command: parkin.block, no_effect: true}\n",
     "2:16: '-' is no participant name | letters, digits, '-' and '_', a letter or digit first\n"
     "2:23: no step has a command of participant 'parking' | remove it, or correct its name\n"
     "4:24: participant 'parkin' is not listed under 'participants' | did you mean 'parking'?"},
    {"saga: s\nparticipants: {}\nsteps:\n" F,
     "4:25: participant 'f' is not listed under 'participants' | add 'f: {fenced: true}', or "
     "false, to them"},
    {"saga: s\nparticipants: [f]\nsteps:\n" F,
     "2:1: 'participants' is no mapping of names | write one 'NAME: {fenced: true}' for each"},
    {"saga: s\nparticipants: {f: }\nsteps:\n" F,
     "2:17: participant 'f' is no mapping of keys to values | its keys are: fenced, "
     "single_delivery"},
    {"saga: s\nparticipants: {f: {fenced: no}}\nsteps:\n" F,
     "2:28: 'fenced' is 'no'; that is neither true nor false | write true or false"},
    {"saga: s\nparticipants: {f.g: {fenced: true}}\nsteps:\n  - {name: x, no_effect: true}\n",
     "2:16: 'f.g' is no participant name | letters, digits, '-' and '_', a letter or digit first\n"
     "4:6: this step has no 'command' | add 'command: PARTICIPANT.COMMAND'"},
    {HEAD F "  - {name: x, command: u.x, compensation: {command: f.y}}\n",
     "5:53: the compensation is a command of 'f', the step's is one of 'u' | a step is taken back "
     "by the participant that did it"},
};

static const struct bad undo[] = {
    {HEAD U "  - {name: x, command: f.x}\n", "5:6: step 'x' has no compensation | " NO_WAY_BACK},
    {HEAD U "  - {name: x, command: f.x, no_effect: false}\n" PIVOT,
     "5:6: step 'x' has no compensation | " NO_WAY_BACK},
    {HEAD U "  - {name: x, command: f.x, compensation: {done: [A]}}\n",
     "5:29: this compensation has no 'command' | name the command that takes the step back"},
    {HEAD U "  - {name: x, command: f.x, compensation: f.y}\n",
     "5:43: 'compensation' is no mapping of keys to values | its keys are: command, done, "
     "rejected, timeout, deadline, retry"},
    {HEAD U "  - {name: x, command: f.x, compensation: {command: f.y}, no_effect: true}\n",
     "5:59: 'no_effect' beside 'compensation': a step is undone in one way | keep one of them"},
    {HEAD U "  - {name: x, command: f.x, compensation: {command: f.y}}\n"
            "  - {name: y, command: f.x, compensation: {command: f.y}, compensated_by: x}\n"
            "  - {name: z, command: f.x, no_effect: true, compensated_by: x}\n",
     "6:59: 'compensated_by' beside 'compensation': a step is undone in one way | keep one of "
     "them\n"
     "7:29: 'no_effect' beside 'compensated_by': a step is undone in one way | keep one of them"},
    {HEAD U "  - {name: create, command: f.x, compensation: {command: f.y}}\n"
            "  - {name: y, command: f.x, compensated_by: creat}\n",
     "6:45: there is no step 'creat' | did you mean 'create'?"},
    {HEAD U "  - {name: y, command: f.x, compensated_by: other}\n",
     "5:45: there is no step 'other' | name an earlier step that has a compensation"},
    {HEAD U "  - {name: y, command: f.x, compensated_by: y}\n",
     "5:45: 'y' is this step itself | name an earlier step that has a compensation"},
    {HEAD U "  - {name: y, command: f.x, compensated_by: z}\n"
            "  - {name: z, command: f.x, compensation: {command: f.y}}\n",
     "5:45: 'z' is a later step | name an earlier step that has a compensation"},
    {HEAD U "  - {name: y, command: f.x, compensated_by: uu}\n",
     "5:45: step 'uu' has no compensation | name an earlier step that has one"},
    {HEAD U "  - {name: x, command: f.x, compensation: {command: f.y}}\n"
            "  - {name: y, command: f.x, compensated_by: x}\n"
            "  - {name: z, command: f.x, compensated_by: y}\n",
     "7:45: step 'y' has no compensation | name an earlier step that has one"},
    {HEAD "  - {name: x, command: f.x, compensation: {command: f.y}}\n"
          "  - {name: y, command: u.x, compensated_by: x}\n",
     "5:29: 'compensated_by' needs a fence, and 'u' has none | give the step a compensation of its "
     "own, or the participant a fence"},
    {HEAD U "  - {name: y, command: f.x, compensated_by: [x]}\n",
     "5:45: a step name should be here | letters, digits, '-' and '_', a letter or digit first"},
};

static const struct bad pivots[] = {
    {HEAD U PIVOT "  - {name: qq, command: f.q, pivot: true, rejected: [A]}\n",
     "6:30: a second pivot | 'pp' in line 5 is one already; a saga has at most one"},
    {HEAD U "  - {name: pp, command: f.p, pivot: true, compensation: {command: f.y}}\n",
     "5:43: the pivot has a 'compensation' | remove it: once the pivot is done, a saga never goes "
     "backward"},
    {HEAD U PIVOT "  - {name: x, command: f.x, compensation: {command: f.y}}\n"
                  "  - {name: y, command: f.x, compensated_by: x}\n",
     "6:29: a step after the pivot has a 'compensation' | remove it: once the pivot is done, a "
     "saga never goes backward\n"
     "7:29: a step after the pivot has a 'compensated_by' | remove it: once the pivot is done, a "
     "saga never goes backward"},
    {HEAD U PIVOT "  - {name: x, command: f.x, rejected: [NO]}\n",
     "6:29: step 'x' can be rejected, and it is after the pivot | remove it, or put the step "
     "before the pivot"},
    {HEAD U PIVOT "  - {name: x, command: f.x, deadline: 5m}\n",
     "6:29: step 'x' sets a deadline, and it is after the pivot | remove it (an inherited one "
     "alerts), or write none"},
    {HEAD U PIVOT "  - {name: x, command: f.x, on_unknown: park}\n",
     "6:29: 'on_unknown' means nothing after the pivot: the step is retried until it is done | "
     "remove it"},
    {HEAD U "  - {name: pp, command: f.p, pivot: true, on_unknown: compensate}\n",
     "5:55: the pivot cannot be compensated | write fence or park"},
    {HEAD F "  - {name: x, command: u.x, no_effect: true, on_unknown: fence}\n",
     "5:58: participant 'u' has no fence | write compensate or park"},
    {HEAD F "  - {name: x, command: u.x, pivot: true, on_unknown: fence}\n",
     "5:54: participant 'u' has no fence | write park"},
};

#define TABLE_TEST(name)                                                                           \
    START_TEST(name##_are_refused) {                                                               \
        refuse(&(name)[_i]);                                                                       \
    }                                                                                              \
    END_TEST
#define TABLE_ADD(tcase, name)                                                                     \
    tcase_add_loop_test((tcase), name##_are_refused, 0, sizeof(name) / sizeof *(name))

TABLE_TEST(syntax)
TABLE_TEST(keys)
TABLE_TEST(names)
TABLE_TEST(events)
TABLE_TEST(values)
TABLE_TEST(participants)
TABLE_TEST(undo)
TABLE_TEST(pivots)

START_TEST(all_errors_are_found_in_the_order_of_the_file) {
    refuse(&(struct bad){
        "steps:\n"
        "  - name: block\n"
        "    command: parkng.block\n"
        "    timeout: 30\n"
        "  - name: block\n"
        "    comand: parking.pay\n"
        "    pivot: yes\n"
        "  - name: late\n"
        "    command: parking.late\n"
        "    rejected: [NO]\n"
        "participants: {parking: {fenced: true, colour: red}}\n"
        "version: none\n"
        "saga: s\n"
        "saga: t\n",
        "2:5: step 'block' has no compensation | " NO_WAY_BACK "\n"
        "3:14: participant 'parkng' is not listed under 'participants' | did you mean 'parking'?\n"
        "4:14: 'timeout' is '30'; that is no duration | it needs a unit; did you mean '30s'?\n"
        "5:5: this step has no 'command' | add 'command: PARTICIPANT.COMMAND'\n"
        "5:11: two steps are called 'block' | the first is 'block' in line 2; rename one\n"
        "6:5: unknown key 'comand' | did you mean 'command'?\n"
        "7:12: 'pivot' is 'yes'; that is neither true nor false | write true or false\n"
        "10:5: step 'late' can be rejected, and it is after the pivot | remove it, or put the step "
        "before the pivot\n"
        "11:40: unknown key 'colour' | the keys here are: fenced, single_delivery\n"
        "12:10: 'version' is 'none'; that is no whole number | a whole number from 1 to "
        "4294967295, without quotes\n"
        "14:1: duplicate key 'saga' | the first one is in line 13"});
}
END_TEST

static Suite *suite(void) {
    Suite *suite = suite_create("definition_errors");
    TCase *tables = tcase_create("tables");
    TABLE_ADD(tables, syntax);
    TABLE_ADD(tables, keys);
    TABLE_ADD(tables, names);
    TABLE_ADD(tables, events);
    TABLE_ADD(tables, values);
    TABLE_ADD(tables, participants);
    TABLE_ADD(tables, undo);
    TABLE_ADD(tables, pivots);
    tcase_add_test(tables, all_errors_are_found_in_the_order_of_the_file);
    suite_add_tcase(suite, tables);
    return suite;
}

int main(void) {
    return check_run(suite());
}
