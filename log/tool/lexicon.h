/*
 * The lexicon: by which definition a record's saga goes, looked up in the log as
 * it is needed.
 *
 * Hides how it is found (a saga's first record names it) and what is kept: the
 * definitions that were needed, and for a bounded number of sagas which of them.
 * So records can be put into words without reading the whole log first, and
 * for ever without growing.
 *
 * Threads: one.
 */
#ifndef SAGA_LEXICON_H
#define SAGA_LEXICON_H

#include "definition.h"
#include "log.h"

struct saga_lexicon;

/* NULL: no memory. */
struct saga_lexicon *saga_lexicon_open(void);
void saga_lexicon_close(struct saga_lexicon *lexicon);

/* The definition by which the saga of `record` goes, or that is loaded by it;
 * NULL: none, or it cannot be had (a damaged log, no memory): words are poorer
 * then. `reader` has the record in its view, and does not move. The result
 * lives as long as the lexicon. */
const struct saga_definition *saga_lexicon_find(struct saga_lexicon *lexicon,
                                                struct saga_log_reader *reader,
                                                const struct saga_record *record);

/* The definition at this place of the log; NULL: it cannot be had. Its plan names the place, so
 * that sagas can be folded by it. */
const struct saga_definition *saga_lexicon_definition(struct saga_lexicon *lexicon,
                                                      struct saga_log_reader *reader, uint64_t lsn);

#endif
