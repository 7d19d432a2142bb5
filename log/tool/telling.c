/* What the commands about one saga have in common: finding it, and its story. */
#include "pick.h"
#include "session.h"
#include "story.h"

static enum saga_error tell(struct saga_session *session, struct saga_log_reader *reader,
                            struct saga_lexicon *lexicon, saga_session_teller *teller) {
    struct saga_muster_line line;
    struct saga_story story;
    enum saga_error error = saga_pick(reader, session->argument, &line, &session->fault);
    if (error == SAGA_OK) {
        error = saga_story_open(&story, reader, lexicon, &line, true, &session->fault);
    }
    if (error == SAGA_OK) {
        error = teller(session, reader, &story);
        saga_story_close(&story);
    }
    return error;
}

enum saga_error saga_session_tell(struct saga_session *session, saga_session_teller *teller) {
    struct saga_log_reader *reader;
    struct saga_lexicon *lexicon = saga_lexicon_open();
    if (lexicon == NULL) {
        return saga_fault_set(&session->fault, SAGA_ERROR_FAILED, "no memory for definitions");
    }
    enum saga_error error = saga_log_reader_open(session->log, &reader, &session->fault);
    if (error == SAGA_OK) {
        error = tell(session, reader, lexicon, teller);
        saga_log_reader_close(reader);
    }
    saga_lexicon_close(lexicon);
    return error;
}
