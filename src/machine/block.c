#include "machine/block.h"

#include <torc/probe.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The first word of a file; false: there is none. */
static bool read_word(const char *path, char *word, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0)
		return false;
	len = read(fd, word, size - 1);
	close(fd);
	word[len > 0 ? len : 0] = '\0';
	word[strcspn(word, " \n")] = '\0';
	return len > 0;
}

bool block_polls(uint64_t dev)
{
	/* Of a partition, one level up. */
	static const char *const places[] = { "/sys/dev/block/%u:%u/queue/io_poll",
		                              "/sys/dev/block/%u:%u/../queue/io_poll" };
	char path[100], word[16];

	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof path, places[i], block_major(dev), block_minor(dev));
		if (read_word(path, word, sizeof word))
			return strcmp(word, "0") != 0;
	}
	return false;
}

/* A disk as /sys/block names it; false: it is gone by now. */
static bool describe(struct torc_probe_device *device, const char *name)
{
	char path[300], word[32]; /* NAME_MAX and some */
	unsigned major, minor;

	snprintf(path, sizeof path, "/sys/block/%s/dev", name);
	if (!read_word(path, word, sizeof word) || sscanf(word, "%u:%u", &major, &minor) != 2)
		return false;
	memset(device, 0, sizeof *device);
	strcpy(device->name, name);
	device->device = block_number(major, minor);
	device->polled = block_polls(device->device);
	snprintf(path, sizeof path, "/sys/block/%s/queue/rotational", name);
	device->rotates = read_word(path, word, sizeof word) && strcmp(word, "0") != 0;
	snprintf(path, sizeof path, "/sys/block/%s/queue/nr_requests", name);
	if (read_word(path, word, sizeof word))
		sscanf(word, "%u", &device->requests);
	return true;
}

int torc_probe_devices(struct torc_probe_device *devices, int count)
{
	struct dirent **entries;
	int names = scandir("/sys/block", &entries, NULL, versionsort), found = 0;

	if (names < 0)
		return errno == ENOENT ? 0 : -errno;
	for (int i = 0; i < names; i++) {
		const char *name = entries[i]->d_name;
		struct torc_probe_device device;

		if (name[0] != '.' && strlen(name) < TORC_PROBE_NAME && describe(&device, name)) {
			if (found < count)
				devices[found] = device;
			found++;
		}
		free(entries[i]);
	}
	free(entries);
	return found;
}

void block_known(uint64_t dev, uint64_t values[4])
{
	for (const char *entry = getenv("TORC_DEVICE"); entry; entry = strchr(entry, ';')) {
		unsigned long long found[4];
		unsigned major, minor;
		int count;

		entry += *entry == ';';
		count = sscanf(entry, "%u:%u=%llu,%llu,%llu,%llu", &major, &minor, &found[0], &found[1], &found[2],
		               &found[3]) -
		        2;
		if (count < 1 || block_number(major, minor) != dev)
			continue;
		for (int i = 0; i < count; i++)
			values[i] = found[i];
	}
}
