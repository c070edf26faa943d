/*
 * file.h: the data of the file benchmarks: one file in a directory of its own on a real disk, filled with noise and
 * gone at the end, however that comes. BENCH_DIR says where the directory is to be made; default /var/tmp, or where
 * the program is run if that is in memory.
 */
#ifndef BENCH_FILE_H
#define BENCH_FILE_H

#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "bench.h"

static char bench_data_dir[400], bench_data_path[450];

static inline void bench_data_remove(void)
{
	if (!*bench_data_dir)
		return;
	unlink(bench_data_path);
	rmdir(bench_data_dir);
	*bench_data_dir = 0;
}

static inline void bench_data_signal(int signal)
{
	bench_data_remove();
	_exit(128 + signal);
}

static inline bool bench_in_memory(const char *dir)
{
	struct statfs fs;

	return statfs(dir, &fs) < 0 || fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC;
}

/* makes the file, `size` bytes long, and returns its path */
static inline const char *bench_data(size_t size)
{
	enum { PIECE = 1 << 20 };
	const char *dir = getenv("BENCH_DIR");
	uint64_t seed = 1, *piece;
	int fd;

	if (!dir)
		dir = bench_in_memory("/var/tmp") ? "." : "/var/tmp";
	if (bench_in_memory(dir))
		bench_die("BENCH_DIR must be a directory on a disk");
	snprintf(bench_data_dir, sizeof bench_data_dir, "%s/torc-bench-XXXXXX", dir);
	if (!mkdtemp(bench_data_dir)) {
		*bench_data_dir = 0;
		bench_die("can't make a directory for the data");
	}
	atexit(bench_data_remove);
	signal(SIGINT, bench_data_signal);
	signal(SIGTERM, bench_data_signal);
	snprintf(bench_data_path, sizeof bench_data_path, "%s/data", bench_data_dir);
	fd = open(bench_data_path, O_CREAT | O_EXCL | O_WRONLY | O_DIRECT | O_CLOEXEC, 0600);
	if (fd < 0 || posix_memalign((void **)&piece, 4096, PIECE) != 0)
		bench_die("can't make the data: is there no O_DIRECT?");
	for (size_t i = 0; i < PIECE / sizeof *piece; i++)
		piece[i] = bench_random(&seed);
	for (size_t at = 0; at < size; at += PIECE)
		if (write(fd, piece, PIECE) != PIECE)
			bench_die("can't fill the data");
	fsync(fd);
	close(fd);
	free(piece);
	return bench_data_path;
}

/* ---- fio, as a program of its own; its own account of time ---- */

/* the number that follows "name" in its report, from the first "jobs" on */
static inline double bench_fio_figure(const char *report, const char *name)
{
	const char *at = strstr(report, "\"jobs\"");

	at = at ? strstr(at, name) : NULL;
	at = at ? strchr(at + strlen(name), ':') : NULL;
	return at ? strtod(at + 1, NULL) : -1;
}

static inline bool bench_fio_there(void)
{
	return system("fio --version >/dev/null 2>&1") == 0;
}

/* `ops` operations; what they are is in `options` */
static inline void bench_fio(struct bench_lap *lap, const char *options, uint64_t ops)
{
	static char report[1 << 17];
	char command[1500];
	double ms, busy;
	size_t len;
	FILE *fio;

	snprintf(command, sizeof command,
	         "fio --name=bench --filename=%s --direct=1 --ioengine=io_uring --fixedbufs --registerfiles "
	         "--nonvectored=1 --gtod_reduce=1 --norandommap --random_generator=tausworthe64 --thread "
	         "--overwrite=1 --output-format=json --number_ios=%llu %s 2>/dev/null",
	         bench_data_path, (unsigned long long)ops, options);
	fio = popen(command, "r");
	len = fio ? fread(report, 1, sizeof report - 1, fio) : 0;
	report[len] = 0;
	if (!fio || pclose(fio) != 0)
		bench_die("fio failed");
	ms = bench_fio_figure(report, "\"job_runtime\"");
	busy = bench_fio_figure(report, "\"usr_cpu\"") + bench_fio_figure(report, "\"sys_cpu\"");
	if (ms <= 0 || busy <= 0)
		bench_die("fio's report says nothing");
	lap->ops += ops;
	lap->wall_ns += (uint64_t)(ms * 1e6);
	lap->cpu_ns += (uint64_t)(ms * 1e6 * busy / 100);
}

#endif
