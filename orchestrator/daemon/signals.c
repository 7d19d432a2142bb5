#include "signals.h"

#include <assert.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static sigset_t endings(void) {
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    return set;
}

void saga_signals_block(void) {
    const sigset_t set = endings();
    const int error = pthread_sigmask(SIG_BLOCK, &set, NULL);
    assert(error == 0);
    (void)signal(SIGPIPE, SIG_IGN);
}

const char *saga_signals_wait(void) {
    const sigset_t set = endings();
    int number = 0;
    const int error = sigwait(&set, &number);
    assert(error == 0); /* the set is valid */
    return number == SIGTERM ? "SIGTERM" : number == SIGINT ? "SIGINT" : "SIGHUP";
}

/* Only calls that are allowed in a signal handler. */
static void end_now(int number) {
    static const char text[] =
        "sagad: draining took too long; what was acknowledged is in the log\n";
    (void)number;
    const ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
    (void)written; /* nobody is left to tell */
    _exit(0);
}

void saga_signals_limit_drain(unsigned seconds) {
    (void)signal(SIGALRM, end_now);
    (void)alarm(seconds);
}
