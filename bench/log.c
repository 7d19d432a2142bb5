/* How fast records become durable: through the log, and through LMDB alone
 * with the same bytes in the same batches; and what the codec costs.
 *
 *   bench-log [DIRECTORY [REPETITIONS]]     default: the current directory, 5
 *
 * The contenders take turns within one run, because a disk has moods; figures
 * are medians over the repetitions, and the ratios are what counts. */
#include "log.h"
#include "record.h"

#include <assert.h>
#include <dirent.h>
#include <inttypes.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAP_BYTES       ((uint64_t)8 << 30)
#define REPETITIONS_MAX 99
#define RECORDS_MAX     ((uint32_t)400000)
#define RECORD_ROOM     512

/* As many records as make half a second or more of each. */
static const struct {
    uint32_t batch;
    uint32_t records;
} sizes[] = {{1, 600}, {10, 6000}, {100, 60000}, {1000, 400000}, {10000, 400000}};
#define SIZE_COUNT (sizeof sizes / sizeof sizes[0])

enum contender { THE_LOG = 0, LMDB_BLOCKS, LMDB_RECORDS, CONTENDER_COUNT };
static const char *const names[CONTENDER_COUNT] = {"log", "LMDB, same blocks",
                                                   "LMDB, a record a key"};

static double now_s(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void die(const char *what, const char *why) {
    (void)fprintf(stderr, "bench-log: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

/* ------------------------------------------------------------------ records */

/* Like a saga's: about 200 bytes each, half of them payload. */
static struct saga_record record_of(uint64_t lsn) {
    static const char body[] = "{\"id\":3,\"status\":\"pending\",\"parking_slot_ref_no\":"
                               "\"0190163d-8694-739b-aea5-966c26f8ad91:0190163d\",\"total\":10000}";
    struct saga_record record = {
        .lsn = lsn,
        .previous_lsn = lsn > 10000 ? lsn - 10000 : 0,
        .at_ms = 1767225600000 + (int64_t)lsn,
        .wall_ms = 1767225600000 + (int64_t)lsn,
        .epoch = 1,
        .attempt = 1,
        .incarnation = 1,
        .revision = 1,
        .fact = SAGA_COMMAND_ISSUED,
        .step = (uint8_t)(lsn % 6),
        .operation = SAGA_ACTION,
        .payload = {body, sizeof body - 1},
    };
    memcpy(record.saga.bytes, &lsn, sizeof lsn);
    record.saga.bytes[15] = 1;
    return record;
}

/* The bytes that the log would write, made beforehand for the raw contenders. */
struct pieces {
    uint8_t *bytes;
    struct saga_block *pieces; /* blocks, or single records */
    uint32_t count;
    uint32_t *batch_ends; /* index behind each batch's last piece */
};

static void pieces_init(struct pieces *pieces, size_t room) {
    pieces->bytes = malloc(room);
    pieces->pieces = calloc(RECORDS_MAX, sizeof *pieces->pieces);
    pieces->batch_ends = calloc(RECORDS_MAX, sizeof *pieces->batch_ends);
    pieces->count = 0;
    if (pieces->bytes == NULL || pieces->pieces == NULL || pieces->batch_ends == NULL) {
        die("preparing", "no memory");
    }
}

static void pieces_fini(struct pieces *pieces) {
    free(pieces->bytes);
    free(pieces->pieces);
    free(pieces->batch_ends);
}

static void add_block(struct pieces *pieces, struct saga_block_writer *writer, size_t *used) {
    size_t size = saga_block_commit(writer);
    pieces->pieces[pieces->count++] =
        (struct saga_block){writer->bytes, size, writer->first_lsn, writer->record_count};
    *used += size;
}

static void make_blocks(struct pieces *pieces, uint32_t batch, uint32_t records) {
    assert(batch > 0);
    struct saga_block_writer writer;
    size_t used = 0;
    pieces_init(pieces, (size_t)records * RECORD_ROOM + SAGA_BLOCK_BYTES + RECORD_ROOM);
    for (uint32_t i = 0; i < records; i += batch) {
        saga_block_begin(&writer, i + 1, pieces->bytes + used);
        for (uint32_t k = i; k < i + batch; k++) {
            struct saga_record record = record_of(k + 1);
            if (!saga_block_add(&writer, &record)) {
                add_block(pieces, &writer, &used);
                saga_block_begin(&writer, k + 1, pieces->bytes + used);
                bool added = saga_block_add(&writer, &record);
                assert(added);
                (void)added;
            }
        }
        add_block(pieces, &writer, &used);
        pieces->batch_ends[i / batch] = pieces->count;
    }
}

static void make_records(struct pieces *pieces, uint32_t batch, uint32_t records) {
    size_t used = 0;
    pieces_init(pieces, (size_t)records * RECORD_ROOM);
    for (uint32_t i = 0; i < records; i++) {
        struct saga_record record = record_of(i + 1);
        size_t size = saga_record_encode(&record, pieces->bytes + used);
        pieces->pieces[pieces->count++] = (struct saga_block){pieces->bytes + used, size, i + 1, 1};
        used += size;
        pieces->batch_ends[i / batch] = pieces->count;
    }
}

/* --------------------------------------------------------------- contenders */

static double run_log(const char *path, uint32_t batch, uint32_t records, uint64_t *bytes) {
    struct saga_log_options options = {.data_dir = path, .map_bytes_max = MAP_BYTES};
    struct saga_log *log;
    struct saga_fault fault;
    if (saga_log_open(&log, &options, &fault) != SAGA_OK) {
        die("opening", fault.text);
    }
    double start = now_s();
    for (uint32_t i = 0; i < records; i += batch) {
        for (uint32_t k = i; k < i + batch; k++) {
            struct saga_record record = record_of(k + 1);
            saga_log_append(log, &record);
        }
        if (saga_log_flush(log, &fault) != SAGA_OK) {
            die("flushing", fault.text);
        }
    }
    double seconds = now_s() - start;
    struct saga_log_usage usage;
    saga_log_usage(log, &usage);
    *bytes = usage.record_bytes;
    saga_log_close(log);
    return seconds;
}

static void must(int code) {
    if (code != MDB_SUCCESS) {
        die("LMDB", mdb_strerror(code));
    }
}

static double run_lmdb(const char *path, const struct pieces *pieces, uint32_t batches) {
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi table;
    must(mdb_env_create(&env));
    must(mdb_env_set_maxdbs(env, 4));
    must(mdb_env_set_mapsize(env, MAP_BYTES));
    must(mdb_env_open(env, path, MDB_NOTLS, 0660));
    must(mdb_txn_begin(env, NULL, 0, &txn));
    must(mdb_dbi_open(txn, "log", MDB_CREATE | MDB_INTEGERKEY, &table));
    must(mdb_txn_commit(txn));
    double start = now_s();
    uint32_t i = 0;
    for (uint32_t k = 0; k < batches; k++) {
        must(mdb_txn_begin(env, NULL, 0, &txn));
        for (; i < pieces->batch_ends[k]; i++) {
            size_t first = pieces->pieces[i].first_lsn;
            MDB_val key = {sizeof first, &first};
            MDB_val value = {pieces->pieces[i].size, (void *)(uintptr_t)pieces->pieces[i].bytes};
            must(mdb_put(txn, table, &key, &value, MDB_APPEND));
        }
        must(mdb_txn_commit(txn));
    }
    double seconds = now_s() - start;
    mdb_env_close(env);
    return seconds;
}

/* ---------------------------------------------------------------- directory */

static void remove_tree(const char *path) {
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return;
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            char name[4096];
            (void)snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
            if (unlink(name) != 0) {
                remove_tree(name);
            }
        }
    }
    (void)closedir(directory);
    (void)rmdir(path);
}

static const char *fresh_directory(const char *parent) {
    static char path[4096];
    (void)snprintf(path, sizeof path, "%s/bench-log.tmp", parent);
    remove_tree(path);
    if (mkdir(path, 0750) != 0) {
        die(path, "cannot be made");
    }
    return path;
}

/* ------------------------------------------------------------------ figures */

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count) {
    qsort(values, count, sizeof *values, compare);
    return values[count / 2];
}

static void bench_size(const char *parent, size_t size, unsigned repetitions) {
    uint32_t batch = sizes[size].batch, records = sizes[size].records;
    struct pieces blocks, singles;
    make_blocks(&blocks, batch, records);
    make_records(&singles, batch, records);
    double seconds[CONTENDER_COUNT][REPETITIONS_MAX], ratio[CONTENDER_COUNT][REPETITIONS_MAX];
    uint64_t bytes = 0;
    for (unsigned i = 0; i < repetitions; i++) {
        for (unsigned turn = 0; turn < CONTENDER_COUNT; turn++) {
            /* Each goes first in turn. */
            enum contender contender = (enum contender)((turn + i) % CONTENDER_COUNT);
            const char *path = fresh_directory(parent);
            seconds[contender][i] =
                contender == THE_LOG ? run_log(path, batch, records, &bytes)
                                     : run_lmdb(path, contender == LMDB_BLOCKS ? &blocks : &singles,
                                                records / batch);
        }
        for (unsigned k = 0; k < CONTENDER_COUNT; k++) {
            ratio[k][i] = seconds[k][i] / seconds[THE_LOG][i];
        }
    }
    for (unsigned k = 0; k < CONTENDER_COUNT; k++) {
        printf("%7" PRIu32 "  %-22s %10.0f records/s %8.0f commits/s", batch, names[k],
               records / median(seconds[k], repetitions),
               (double)records / batch / median(seconds[k], repetitions));
        if (k != THE_LOG) {
            printf("   log/this = %.2f", median(ratio[k], repetitions));
        }
        printf("\n");
    }
    printf("         %.0f bytes a record, as encoded\n", (double)bytes / records);
    (void)fflush(stdout);
    pieces_fini(&blocks);
    pieces_fini(&singles);
    remove_tree(fresh_directory(parent));
}

static void bench_codec(void) {
    enum { ROUNDS = 3000, RECORDS = 1000 };
    static uint8_t bytes[RECORDS * RECORD_ROOM];
    static size_t ends[RECORDS + 1];
    static struct saga_record records[RECORDS];
    for (size_t i = 0; i < RECORDS; i++) {
        records[i] = record_of(i + 1);
    }
    double start = now_s();
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < RECORDS; i++) {
            ends[i + 1] = ends[i] + saga_record_encode(&records[i], bytes + ends[i]);
        }
    }
    double encoded = now_s();
    uint64_t sum = 0;
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < RECORDS; i++) {
            struct saga_record record;
            if (saga_record_decode(bytes + ends[i], ends[i + 1] - ends[i], &record) !=
                SAGA_RECORD_OK) {
                die("decoding", "refused");
            }
            sum += record.previous_lsn + record.payload.size;
        }
    }
    double decoded = now_s();
    struct pieces blocks;
    make_blocks(&blocks, RECORDS, RECORDS);
    double opening = now_s();
    for (int round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < blocks.count; i++) {
            struct saga_block block;
            if (saga_block_open(&block, blocks.pieces[i].first_lsn, blocks.pieces[i].bytes,
                                blocks.pieces[i].size) != SAGA_RECORD_OK) {
                die("opening a block", "refused");
            }
            sum += block.record_count;
        }
    }
    double opened = now_s();
    double each = 1e9 / ((double)ROUNDS * RECORDS);
    printf("codec    encode %.1f ns, decode %.1f ns, check of the block %.1f ns a record (%" PRIu64
           ")\n",
           (encoded - start) * each, (decoded - encoded) * each, (opened - opening) * each,
           sum % 10);
    pieces_fini(&blocks);
}

int main(int argc, char **argv) {
    const char *parent = argc > 1 ? argv[1] : ".";
    unsigned repetitions = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 5;
    if (argc > 3 || repetitions == 0 || repetitions > REPETITIONS_MAX) {
        die("usage", "bench-log [DIRECTORY [REPETITIONS]]");
    }
    bench_codec();
    printf("records a commit\n");
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        bench_size(parent, i, repetitions);
    }
    return EXIT_SUCCESS;
}
