/* dir.h - directories, and the names in them: made, listed, walked, removed. None of it blocks the core.
 *
 * Wherever there is an `at`, a relative path begins in that directory, whose name may change meanwhile; NULL: in the working
 * directory. Handles are small values, as in file.h, and every parking call also returns -EBADF (a handle is empty or was
 * closed under the caller), -ECANCELED and -ETIME. */
#ifndef TORC_DIR_H
#define TORC_DIR_H

#include <torc/file.h>

TORC_BEGIN

struct torc_dir {
	struct torc_async async;
	void *list_;
	void *reserved_;
};

/* Returns 0; -ENOENT, -ENOTDIR ... as open(2). */
TORC_API int torc_dir_open(struct torc_dir *dir, struct torc_dir *at, const char *path) TORC_PARKS TORC_MUST;

/* As torc_async_close. */
TORC_API int torc_dir_close(struct torc_dir *dir) TORC_PARKS;

/* Have the names in it on the device: after files were made, renamed or removed (fsync(2)). */
TORC_API int torc_dir_sync(struct torc_dir *dir) TORC_PARKS TORC_MUST;

struct torc_dir_entry {
	const char *name; /* good until the next call on the directory */
	unsigned type;    /* DT_REG, DT_DIR, DT_LNK ... of readdir(3); never DT_UNKNOWN */
	uint64_t inode;
};

/* The next entry, in no order, without . and ..; one fiber at a time. Returns 1; 0 at the end. What is made or removed
 * meanwhile may appear or not. A call that is cut off takes no entry. */
TORC_API int torc_dir_read(struct torc_dir *dir, struct torc_dir_entry *entry) TORC_PARKS TORC_MUST;

/* Begin again. */
TORC_API int torc_dir_rewind(struct torc_dir *dir) TORC_PARKS TORC_MUST;

struct torc_dir_options {
	size_t size;   /* TORC_OPTIONS fills it in                                                    */
	unsigned mode; /* permissions, less the umask; default 0777                                   */
	bool parents;  /* make what is missing of the path too, and do not mind if all of it is there */
};

/* Make a directory (mkdir(2)). Returns 0; -EEXIST, -ENOENT ... */
TORC_API int torc_dir_create(struct torc_dir *at, const char *path,
                             const struct torc_dir_options *options) TORC_PARKS TORC_MUST;

/* Remove an empty one. Returns 0; -ENOTEMPTY, -ENOTDIR ... */
TORC_API int torc_dir_remove(struct torc_dir *at, const char *path) TORC_PARKS TORC_MUST;

/* Remove whatever is there, and all that is in it; follows no symbolic link, even if one is put in the way meanwhile, but goes
 * into what is mounted there: that is emptied, and then -EBUSY. Takes a descriptor and 32 KiB a level. Returns 0, also if there
 * is nothing; -EINVAL: the path ends in . or .. or is /; -ENOTDIR: it ends in a slash and is no directory; the first error, at
 * which it stops; -ENOTEMPTY, -EISDIR, -ENOTDIR: somebody goes on making files there. */
TORC_API int torc_dir_remove_tree(struct torc_dir *at, const char *path) TORC_PARKS TORC_MUST;

/* --- walking --------------------------------------------------------------------------------- */

struct torc_walk {
	void *walk_;
	void *reserved_;
};

struct torc_walk_options {
	size_t size;  /* TORC_OPTIONS fills it in                                  */
	bool leaving; /* tell of each directory once more, after what is in it     */
};

/* Good until the next call on the walk. */
struct torc_walk_entry {
	const char *path;     /* below where the walk began */
	const char *name;     /* the last part of it */
	struct torc_dir *dir; /* that it is in, for the `at` of other calls; not to be closed */
	unsigned type;        /* as in torc_dir_entry; symbolic links are not followed */
	unsigned depth;       /* of `dir`: 0 where the walk began */
	uint64_t inode;
	bool leaving;
};

/* All that is below a directory, a directory before what is in it; also what is mounted there. Takes a descriptor and 32 KiB a
 * level. */
TORC_API int torc_walk_open(struct torc_walk *walk, struct torc_dir *at, const char *path,
                            const struct torc_walk_options *options) TORC_PARKS TORC_MUST;

/* One fiber at a time. Returns 1; 0 at the end; -errno for a directory that can't be opened, the one that was returned last,
 * or read (-EACCES, -EMFILE): the next call goes on behind it. One that is gone meanwhile is passed over. */
TORC_API int torc_walk_next(struct torc_walk *walk, struct torc_walk_entry *entry) TORC_PARKS TORC_MUST;

/* Do not go into the directory that was returned last. */
TORC_API void torc_walk_skip(struct torc_walk *walk) TORC_LOCAL;

/* A fiber parked in torc_walk_next is woken with -EBADF and waited for. Harmless on an empty one. */
TORC_API void torc_walk_close(struct torc_walk *walk) TORC_PARKS;

/* --- names ----------------------------------------------------------------------------------- */

/* rename(2): replaces `to` if it is there, at once. `flags` as for renameat2(2): RENAME_NOREPLACE, RENAME_EXCHANGE; or 0. */
TORC_API int torc_path_rename(struct torc_dir *at, const char *path, struct torc_dir *to_at, const char *to,
                              unsigned flags) TORC_PARKS TORC_MUST;

/* Take a name away from a file (unlink(2)); whoever has the file open keeps it. */
TORC_API int torc_path_unlink(struct torc_dir *at, const char *path) TORC_PARKS TORC_MUST;

/* Another name for the same file (link(2)); does not follow a symbolic link. */
TORC_API int torc_path_link(struct torc_dir *at, const char *path, struct torc_dir *to_at,
                            const char *to) TORC_PARKS TORC_MUST;

/* Make `path` a symbolic link that says `target` (symlink(2)). */
TORC_API int torc_path_symlink(struct torc_dir *at, const char *path, const char *target) TORC_PARKS TORC_MUST;

/* What a symbolic link says, ended by a zero. Returns its length; -EINVAL: it is none; -ENAMETOOLONG: `size` is too small. */
TORC_API int torc_path_readlink(struct torc_dir *at, const char *path, char *buf, size_t size) TORC_PARKS TORC_MUST;

/* As torc_file_stat, of what a path leads to; torc_path_lstat does not follow a symbolic link at its end. */
TORC_API int torc_path_stat(struct torc_dir *at, const char *path, struct torc_file_info *info) TORC_PARKS TORC_MUST;
TORC_API int torc_path_lstat(struct torc_dir *at, const char *path, struct torc_file_info *info) TORC_PARKS TORC_MUST;

TORC_END
#endif
