/* read_many.h - many ranges of one file, read together: a list of them or a generator in, their bytes in the same order
 * out. Neighbours are read by one request of the device, several requests are under way at once, and memory is bounded.
 *
 * How many requests are made follows from the ranges and the options alone. A range joins the request of the ranges just
 * before it if
 *   - it lies within what that reads anyway; or
 *   - the gap between them, bytes that nobody asked for, is at most .max_gap, on whichever side it lies, and all of it
 *     together, in whole blocks on a direct file, is at most .max_merge;
 * and if fewer than 1,024 ranges are in it already. Otherwise it begins a new one. A range is never split, so one that is
 * larger than .max_merge is a request of its own. A range of no bytes causes none.
 * Only ranges that follow each other are merged: sort them by offset for the fewest requests.
 *
 * A bulk read is a small value: zeroed it is empty; copying one moves it; it must not be moved while a call on it is
 * parked. It belongs to the core that opened it, and one fiber uses it at a time. The file is lent: it must neither move
 * nor go before the bulk read is closed. */
#ifndef TORC_READ_MANY_H
#define TORC_READ_MANY_H

#include <torc/file.h>

TORC_BEGIN

struct torc_range {
	uint64_t offset;
	size_t len;
};

/* Produces the next range. False: there is none, and it is not called again. It must not park. */
typedef bool torc_range_fn(struct torc_range *range, void *arg);

struct torc_read_many_options {
	size_t size;
	size_t max_merge;   /* bytes of a request that serves several ranges; default 128 KiB                      */
	size_t max_gap;     /* bytes between two ranges that are read for nothing; default 4 KiB                    */
	bool no_merge;      /* a request for each range                                                             */
	unsigned max_reads; /* requests under way, or done and not taken; at most 4,096; default 32                 */
	size_t max_bytes;   /* memory for them; one range is read however large it is; default 4 MiB                */
};

struct torc_read_result {
	struct torc_range range; /* as it came in                                                                   */
	uint64_t index;          /* 0 for the first range                                                           */
	const void *data;        /* good until the next call on the bulk read                                       */
	size_t len;              /* bytes at data: fewer than asked for where the file ends, or before an error      */
	int error;               /* 0; what stopped the read of this range: -EIO ...; -EINVAL: it reaches beyond what a
	                            file can be; -ENOMEM                                                             */
};

struct torc_read_many {
	void *many_;
	void *reserved_;
};

/* Begin to read `count` ranges; the array is lent until close. They may overlap, repeat each other, lie in any order and
 * beyond the end. The handle must be empty or uninitialised. Returns 0; -EINVAL for an option out of range; -ENOMEM;
 * -EBADF for an empty file; -ECANCELED, -ETIME. */
TORC_API int torc_read_many_open(struct torc_read_many *many, struct torc_file *file, const struct torc_range *ranges,
                                 size_t count, const struct torc_read_many_options *options) TORC_PARKS TORC_MUST;

/* The same with ranges that next(&range, arg) produces, as room for them comes up, never more than some 4,096 ahead of the
 * results. */
TORC_API int torc_read_many_open_from(struct torc_read_many *many, struct torc_file *file,
                                      const struct torc_read_many_options *options, torc_range_fn *next,
                                      void *arg) TORC_PARKS TORC_MUST;

/* The next range's result, in the order in which they came. Returns 1; 0 after the last. A range that could not be read is
 * a result too, with .error set, and spoils no other: what was merged with it is read again by itself.
 * -EBADF (the bulk read is empty, it or its file was closed meanwhile), -ECANCELED, -ETIME: no result is lost, the call may
 * be repeated. */
TORC_API int torc_read_many_next(struct torc_read_many *many, struct torc_read_result *result) TORC_PARKS TORC_MUST;

struct torc_read_many_stats {
	size_t size;          /* set it to sizeof this struct before the call */
	uint64_t ranges;      /* taken in so far                              */
	uint64_t reads;       /* requests made for them                       */
	uint64_t again;       /* requests made again, after a merged one failed */
	uint64_t bytes_asked; /* by the ranges                                */
	uint64_t bytes_read;  /* asked of the device: gaps, and blocks not used in whole, included */
};

/* What was done so far. Returns 0; -EBADF; -EINVAL if the size is none. */
TORC_API int torc_read_many_stats_get(const struct torc_read_many *many, struct torc_read_many_stats *stats) TORC_LOCAL;

/* End it; what is under way is cancelled and waited for; a fiber parked in it is woken with -EBADF. Harmless on an empty
 * one; is never cancelled. Returns 0. */
TORC_API int torc_read_many_close(struct torc_read_many *many) TORC_PARKS;

TORC_END
#endif
