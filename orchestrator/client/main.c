/*
 * sagactl: starts, watches and steers sagas.
 */
#include <stdio.h>

#include "commands.h"
#include "order.h"
#include "remote.h"

int saga_complain(const struct saga_fault *fault) {
    (void)fflush(stdout);
    (void)fprintf(stderr, "sagactl: %s\n", fault->text);
    return saga_error_exit_status(fault->error);
}

static int ask(const struct saga_order *order) {
    struct saga_remote *remote;
    struct saga_fault fault;
    int status = 1;
    if (saga_remote_open(&remote, order, &fault) != SAGA_OK) {
        return saga_complain(&fault);
    }
    switch (order->command) {
    case SAGA_ORDER_START:
        status = saga_command_start(remote, order);
        break;
    case SAGA_ORDER_GET:
        status = saga_command_get(remote, order);
        break;
    case SAGA_ORDER_LIST:
        status = saga_command_list(remote, order);
        break;
    case SAGA_ORDER_CANCEL:
    case SAGA_ORDER_RETRY:
    case SAGA_ORDER_RESOLVE:
    case SAGA_ORDER_MARK_COMPENSATED:
    case SAGA_ORDER_WRITE_OFF:
        status = saga_command_act(remote, order);
        break;
    case SAGA_ORDER_STATS:
        status = saga_command_stats(remote, order);
        break;
    case SAGA_ORDER_VALIDATE:
        break; /* needs no daemon */
    }
    saga_remote_close(remote);
    return status;
}

int main(int argc, char **argv) {
    struct saga_order order;
    saga_order_parse(&order, argc, argv);
    const int status =
        order.command == SAGA_ORDER_VALIDATE ? saga_command_validate(&order) : ask(&order);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        (void)fputs("sagactl: standard output cannot be written\n", stderr);
        return status == 0 ? 1 : status;
    }
    return status;
}
