/* cp - copy files and trees of them: what its parts share.
 *
 * One executor, and the threads of torc_blocking: a directory is a fiber, which has jobs list it and copy its small files,
 * some hundred a job; subdirectories and large files are fibers of its scope. So a directory's times and mode are set when
 * its scope has been joined, and nothing else says who waits for whom. */
#ifndef CP_H
#define CP_H

#include <torc.h>

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>

enum {
	SMALL = 8 << 20,    /* a file up to here is copied in one go */
	SEGMENT = 32 << 20, /* what is larger goes by pieces of this size, several at once */
	BATCH = 128,        /* entries of a directory that one job copies */
};

struct settings {
	bool recursive, preserve, xattrs, verify, direct, quiet;
	unsigned jobs;
	mode_t umask;
};

extern struct settings settings;

/* What has been done so far; from any thread. */
struct tally {
	atomic_ullong files, bytes; /* done */
	atomic_ullong files_found, bytes_found;
	atomic_uint failures;
};

extern struct tally tally;

/* How many large files, and streams of --direct, may be open at a time, in all directories together. */
extern struct torc_semaphore large_files, streams;

/* A line on stderr, and the program's exit status will be 1. Returns false. From any thread. That something was cancelled goes
 * without saying: the user did it. */
bool complain(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The two names of something, and what is known of it. */
struct pair {
	char *from, *to;
	struct stat st; /* of `from` */
};

/* Two descriptors, ready for the bytes: `to` is empty. */
struct ends {
	int from, to;
	struct stat st;
	const char *from_name, *to_name; /* for complaints */
	int to_dir;                      /* where `to` is */
	const char *to_path;
	bool made;        /* there was nothing */
	bool regular;     /* so that what is not written reads as zeros */
	atomic_llong end; /* where `from` turned out to end, if it is before its size */
};

/* In a job: open both; `from` relative to from_dir and so on (AT_FDCWD will do). What is there already is emptied, unless it
 * is the same file. */
bool ends_open(struct ends *ends, int from_dir, const char *from, int to_dir, const char *to);
/* Mode and times, if they are to be kept; verify; close. Not good: what looks like a copy and is none is removed, or emptied
 * if it was there. False if anything failed; also ends that are only half open. */
bool ends_finish(struct ends *ends, bool good);

/* In a job: extended attributes, ACLs among them, of a file or a directory. To be called after its owner is set, which takes
 * capabilities away, and before its mode, which an ACL changes. */
bool keep_xattrs(int from, int to, const char *from_name, const char *to_name);

bool same_file(const struct stat *a, const struct stat *b);

/* Modes less what is for their owner only: without him nobody is to run as whoever made the copy. */
enum { MODE_PLAIN = 01777, MODE_ALL = 07777 };

/* In a job: the bytes of a file that is small enough. */
bool copy_small(struct ends *ends);

/* In a fiber: the bytes of a large one, by several threads. */
bool copy_large(const struct pair *pair);

/* In a fiber: a file, a link or a tree. */
bool copy_any(const struct pair *pair);

/* A fiber: the bar on the terminal, until it is cancelled. */
int show_progress(void *unused);
void clear_progress(void);

char *path_join(const char *folder, const char *name);

#endif
