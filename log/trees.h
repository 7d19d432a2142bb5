/*
 * The trees of data.mdb: whether LMDB can walk them, and write beside them.
 *
 * Hides LMDB's branch and leaf pages and its list of free pages. Every page
 * that LMDB would follow is read and checked: that it is what its parent says,
 * that all in it is inside it, that keys ascend, that counts match, and that no
 * page is used twice, or free and used, or in use and behind the file's end. Blocks themselves are
 * not read: they have a checksum. So LMDB meets nothing that it would abort or run out of its map
 * on, and never writes a new page over one that holds records.
 *
 * Costs: one page in about 150 where blocks are full, every page where each
 * commit had but a record.
 *
 * Threads: no state.
 */
#ifndef SAGA_TREES_H
#define SAGA_TREES_H

#include "pages.h"

/* Checks what hangs on `live`, of the open file `fd` that nobody is writing.
 * Errors: LOG_REFUSED (names the page), FAILED. */
SAGA_CHECKED enum saga_error saga_trees_check(int fd, const char *path,
                                              const struct saga_page_meta *live,
                                              struct saga_fault *fault);

/* The same of a file that may be written, as long as a view keeps the state `live`; and says which
 * pages hold something: those of the trees, and of the list of free pages itself. `held`: a bit for
 * each page, the caller's to free. Errors: the same. */
SAGA_CHECKED enum saga_error saga_trees_map(int fd, const char *path,
                                            const struct saga_page_meta *live, uint8_t **held,
                                            struct saga_fault *fault);

#endif
