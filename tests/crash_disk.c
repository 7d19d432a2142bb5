#include "crash_disk.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch.h"

#define NAMES_MAX 16
#define FILES_MAX 16

struct name {
    ino_t directory;
    ino_t subject;
    char text[32];
};

struct file {
    ino_t inode;
    uint8_t *bytes;
    size_t size;
};

/* Names and files, as they are on a disk. */
struct image {
    struct name names[NAMES_MAX];
    size_t name_count;
    struct file files[FILES_MAX];
    size_t file_count;
};

struct crash_disk {
    ino_t root;
    const struct disk_event *events;
    size_t at;       /* of the event that comes next */
    size_t *pending; /* events that are not synced */
    size_t pending_count;
    size_t pending_room;
    struct image durable;
    struct image state; /* as one would find it */
    struct image shown; /* as it is at the path */
};

/* -------------------------------------------------------------------- images */

static struct file *file_of(struct image *image, ino_t inode) {
    for (size_t i = 0; i < image->file_count; i++) {
        if (image->files[i].inode == inode) {
            return &image->files[i];
        }
    }
    ck_assert_uint_lt(image->file_count, FILES_MAX);
    image->files[image->file_count] = (struct file){.inode = inode};
    return &image->files[image->file_count++];
}

static void write_part(struct image *image, const struct disk_event *event, size_t at,
                       size_t size) {
    struct file *file = file_of(image, event->file);
    const size_t end = event->offset + at + size;
    if (end > file->size) {
        file->bytes = realloc(file->bytes, end);
        ck_assert_ptr_nonnull(file->bytes);
        memset(file->bytes + file->size, 0, end - file->size);
        file->size = end;
    }
    memcpy(file->bytes + event->offset + at, event->bytes + at, size);
}

static struct name *find_name(struct image *image, ino_t directory, const char *text) {
    for (size_t i = 0; i < image->name_count; i++) {
        if (image->names[i].directory == directory && strcmp(image->names[i].text, text) == 0) {
            return &image->names[i];
        }
    }
    return NULL;
}

static void remove_name(struct image *image, ino_t directory, const char *text) {
    struct name *name = find_name(image, directory, text);
    if (name != NULL) {
        *name = image->names[--image->name_count];
    }
}

static void add_name(struct image *image, ino_t directory, const char *text, ino_t subject) {
    remove_name(image, directory, text);
    ck_assert_uint_lt(image->name_count, NAMES_MAX);
    struct name *name = &image->names[image->name_count++];
    *name = (struct name){.directory = directory, .subject = subject};
    (void)snprintf(name->text, sizeof name->text, "%s", text);
}

static void change_name(struct image *image, const struct disk_event *event) {
    if (event->operation == DISK_CREATE) {
        add_name(image, event->file, event->name, event->subject);
    } else if (event->operation == DISK_REMOVE) {
        remove_name(image, event->file, event->name);
    } else {
        const struct name *name = find_name(image, event->from, event->from_name);
        if (name != NULL) { /* else what it renames was lost */
            const ino_t subject = name->subject;
            remove_name(image, event->from, event->from_name);
            add_name(image, event->file, event->name, subject);
        }
    }
}

static void copy_image(struct image *to, const struct image *from) {
    for (size_t i = 0; i < from->file_count; i++) {
        struct file *file = &to->files[i];
        if (i >= to->file_count) {
            *file = (struct file){0};
        }
        file->inode = from->files[i].inode;
        if (file->size < from->files[i].size || file->bytes == NULL) {
            file->bytes = realloc(file->bytes, from->files[i].size + 1);
            ck_assert_ptr_nonnull(file->bytes);
        }
        file->size = from->files[i].size;
        if (file->size > 0) {
            memcpy(file->bytes, from->files[i].bytes, file->size);
        }
    }
    for (size_t i = from->file_count; i < to->file_count; i++) {
        free(to->files[i].bytes);
    }
    to->file_count = from->file_count;
    memcpy(to->names, from->names, sizeof to->names);
    to->name_count = from->name_count;
}

static void free_image(struct image *image) {
    for (size_t i = 0; i < image->file_count; i++) {
        free(image->files[i].bytes);
    }
}

/* ------------------------------------------------------------------ the disk */

struct crash_disk *crash_disk_open(ino_t root, const struct disk_event *events) {
    struct crash_disk *disk = calloc(1, sizeof *disk);
    ck_assert_ptr_nonnull(disk);
    disk->root = root;
    disk->events = events;
    return disk;
}

void crash_disk_close(struct crash_disk *disk) {
    free_image(&disk->durable);
    free_image(&disk->state);
    free_image(&disk->shown);
    free(disk->pending);
    free(disk);
}

static bool is_of_names(const struct disk_event *event) {
    return event->operation == DISK_CREATE || event->operation == DISK_REMOVE ||
           event->operation == DISK_RENAME;
}

static void apply(struct image *image, const struct disk_event *event) {
    if (is_of_names(event)) {
        change_name(image, event);
    } else {
        write_part(image, event, 0, event->size);
    }
}

/* All of a file or directory that was not. */
static void make_durable(struct crash_disk *disk, ino_t inode) {
    size_t kept = 0;
    for (size_t i = 0; i < disk->pending_count; i++) {
        const struct disk_event *event = &disk->events[disk->pending[i]];
        if (event->file == inode) {
            apply(&disk->durable, event);
        } else {
            disk->pending[kept++] = disk->pending[i];
        }
    }
    disk->pending_count = kept;
}

static void make_pending(struct crash_disk *disk, size_t event) {
    if (disk->pending_count == disk->pending_room) {
        disk->pending_room = disk->pending_room * 2 + 64;
        disk->pending = realloc(disk->pending, disk->pending_room * sizeof *disk->pending);
        ck_assert_ptr_nonnull(disk->pending);
    }
    disk->pending[disk->pending_count++] = event;
}

void crash_disk_step(struct crash_disk *disk) {
    const struct disk_event *event = &disk->events[disk->at++];
    if (event->operation == DISK_SYNC) {
        make_durable(disk, event->file);
    } else if (event->operation == DISK_WRITE && event->synced) {
        apply(&disk->durable, event);
    } else if (event->operation != DISK_CHANGE) {
        make_pending(disk, disk->at - 1);
    }
}

/* ----------------------------------------------------------------- the crash */

static size_t pieces_of(const struct disk_event *event, size_t unit) {
    return is_of_names(event) ? 1 : (event->size + unit - 1) / unit;
}

size_t crash_disk_pieces(const struct crash_disk *disk, size_t unit) {
    size_t pieces = 0;
    for (size_t i = 0; i < disk->pending_count; i++) {
        pieces += pieces_of(&disk->events[disk->pending[i]], unit);
    }
    return pieces;
}

static bool is_kept(enum crash_keep keep, size_t piece, size_t pieces, struct splitmix *random) {
    switch (keep) {
    case CRASH_NONE:
        return false;
    case CRASH_ALL:
        return true;
    case CRASH_FIRST_HALF:
        return piece < pieces / 2;
    case CRASH_SECOND_HALF:
        return piece >= pieces / 2;
    case CRASH_RANDOM:
        return (splitmix_next(random) & 1) != 0;
    case CRASH_MOST:
        return splitmix_below(random, 8) != 0;
    case CRASH_KEEP_END:
        break;
    }
    abort();
}

static void make_state(struct crash_disk *disk, size_t unit, enum crash_keep keep,
                       struct splitmix *random) {
    const size_t pieces = crash_disk_pieces(disk, unit);
    size_t piece = 0;
    copy_image(&disk->state, &disk->durable);
    for (size_t i = 0; i < disk->pending_count; i++) {
        const struct disk_event *event = &disk->events[disk->pending[i]];
        for (size_t k = 0; k < pieces_of(event, unit); k++, piece++) {
            if (!is_kept(keep, piece, pieces, random)) {
                continue;
            }
            if (is_of_names(event)) {
                change_name(&disk->state, event);
            } else {
                const size_t rest = event->size - k * unit;
                write_part(&disk->state, event, k * unit, rest < unit ? rest : unit);
            }
        }
    }
}

/* ------------------------------------------------------------------- showing */

static bool is_directory(const struct name *name) {
    static const char *const names[] = {"log", "log.tmp", "log.restore"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name->text, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void show_file(const struct name *name, struct image *state, struct image *shown,
                      const char *path, bool anew) {
    const struct file *now = file_of(state, name->subject);
    const struct file *before = file_of(shown, name->subject);
    if (anew || now->size != before->size ||
        (now->size > 0 && memcmp(now->bytes, before->bytes, now->size) != 0)) {
        file_write(path, now->size > 0 ? now->bytes : (const uint8_t *)"", now->size);
    }
}

static void show_directory(struct crash_disk *disk, ino_t directory, const char *path, bool anew) {
    for (size_t i = 0; i < disk->state.name_count; i++) {
        const struct name *name = &disk->state.names[i];
        char below[1024];
        if (name->directory != directory) {
            continue;
        }
        (void)snprintf(below, sizeof below, "%s/%s", path, name->text);
        if (!is_directory(name)) {
            show_file(name, &disk->state, &disk->shown, below, anew);
            continue;
        }
        if (anew) {
            ck_assert_int_eq(mkdir(below, 0750), 0);
        }
        show_directory(disk, name->subject, below, anew);
    }
}

static bool same_names(const struct image *a, const struct image *b) {
    return a->name_count == b->name_count &&
           memcmp(a->names, b->names, a->name_count * sizeof a->names[0]) == 0;
}

void crash_disk_show(struct crash_disk *disk, size_t unit, enum crash_keep keep,
                     struct splitmix *random, const char *path) {
    make_state(disk, unit, keep, random);
    const bool anew = !same_names(&disk->state, &disk->shown) || access(path, F_OK) != 0;
    if (anew) {
        directory_remove(path);
        ck_assert_int_eq(mkdir(path, 0750), 0);
    }
    show_directory(disk, disk->root, path, anew);
    copy_image(&disk->shown, &disk->state);
}
