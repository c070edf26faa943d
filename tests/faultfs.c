/* faultfs - a file system in memory, by FUSE, that fails as it is told: what no device, quota or network file system of a
 * test machine does when asked. tests/api/faultfs.h mounts one for a test and talks to it.
 *
 *	faultfs MOUNTPOINT     serve until it is unmounted; /dev/fd/N: N is /dev/fuse, mounted already
 *
 * The file .faults in its root, which no listing shows, is where it is told. A command is a write:
 *
 *	fail REQUEST ERRNO [AFTER [TIMES]]   such requests fail; AFTER so many that do not (0), so many TIMES (for ever)
 *	most REQUEST BYTES                   a read or a write moves at most so many bytes; 0: as many as there are
 *	quota BYTES                          in all files together; what goes beyond is EDQUOT, after a short write
 *	hold REQUEST                         such requests lie here unanswered, whoever interrupts them
 *	hold-interruptible REQUEST           the same, but one that is interrupted is answered EINTR
 *	release                              what is held goes on, perhaps to fail, and nothing more is held
 *	cached, direct                       files opened from now on go through the kernel's cache; or not, as at first
 *	typeless                             a directory's entries do not tell what they are
 *
 * Reading it tells how many of each request there have been, "read 12", and how many are "held" and were "interrupted".
 *
 * Faults are injected before libfuse sees a request, so the file system proper below knows nothing of them. It has neither
 * O_TMPFILE nor fallocate(2), and no name or attribute of it is kept in the kernel. One thread. */
#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
#include <linux/fuse.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST_SIZE = (1 << 20) + (1 << 16), OPCODES = 64 };

static const char control_name[] = ".faults";

/* --- the file system ------------------------------------------------------------------------- */

struct name {
	struct name *next;
	struct node *node;
	off_t cookie; /* its place in the directory, for ever: names come and go while somebody reads */
	char text[];
};

struct node {
	ino_t number;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	nlink_t links;
	uint64_t lookups; /* that the kernel has not taken back */
	struct timespec modified;
	char *data;
	size_t size, room;
	struct name *names; /* of a directory, by their cookies */
};

static struct node root = { .number = FUSE_ROOT_ID, .mode = S_IFDIR | 0755, .links = 2, .lookups = 1 };
static struct node control = { .number = 2, .mode = S_IFREG | 0600, .links = 1, .lookups = 1 };
static size_t used, quota = SIZE_MAX;
static bool cached, typeless;
static size_t most_read, most_written;

static struct node *node_of(fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? &root : (struct node *)(uintptr_t)ino;
}

static struct stat attributes(const struct node *node)
{
	return (struct stat){
		.st_ino = node->number,
		.st_mode = node->mode,
		.st_nlink = node->links,
		.st_uid = node->uid,
		.st_gid = node->gid,
		.st_size = (off_t)node->size,
		.st_blocks = (blkcnt_t)(node->size + 511) / 512,
		.st_blksize = 4096,
		.st_mtim = node->modified,
		.st_ctim = node->modified,
	};
}

static void touch(struct node *node)
{
	clock_gettime(CLOCK_REALTIME, &node->modified);
}

static struct node *make_node(fuse_req_t req, mode_t mode)
{
	static ino_t last = 2;
	struct node *node = calloc(1, sizeof *node);

	if (!node)
		abort();
	node->number = ++last;
	node->mode = mode;
	node->uid = fuse_req_ctx(req)->uid;
	node->gid = fuse_req_ctx(req)->gid;
	node->links = S_ISDIR(mode) ? 1 : 0;
	touch(node);
	return node;
}

static void drop_unused(struct node *node)
{
	if (node->lookups > 0 || node->links > (S_ISDIR(node->mode) ? 1 : 0))
		return;
	used -= node->size;
	free(node->data);
	free(node);
}

static struct name **find(struct node *directory, const char *text)
{
	struct name **place = &directory->names;

	while (*place && strcmp((*place)->text, text) != 0)
		place = &(*place)->next;
	return place;
}

static void add_name(struct node *directory, const char *text, struct node *node)
{
	static off_t cookie;
	struct name *name = calloc(1, sizeof *name + strlen(text) + 1), **place = &directory->names;

	if (!name)
		abort();
	while (*place)
		place = &(*place)->next;
	*place = name;
	name->node = node;
	name->cookie = ++cookie;
	strcpy(name->text, text);
	node->links++;
	touch(directory);
}

static void remove_name(struct node *directory, struct name **place)
{
	struct name *name = *place;

	*place = name->next;
	name->node->links--;
	drop_unused(name->node);
	free(name);
	touch(directory);
}

/* Returns 0 or an errno. What is new is zeros. */
static int resize(struct node *node, size_t size)
{
	if (size > node->size && size - node->size > quota - (used < quota ? used : quota))
		return EDQUOT;
	if (size > node->room) {
		size_t room = 2 * size;
		char *data = realloc(node->data, room);

		if (!data)
			return ENOSPC;
		memset(data + node->room, 0, room - node->room);
		node->data = data;
		node->room = room;
	}
	if (size < node->size)
		memset(node->data + size, 0, node->size - size);
	used = used - node->size + size;
	node->size = size;
	touch(node);
	return 0;
}

/* As much as there is room for: the count, or -errno. */
static ssize_t put(struct node *node, const char *bytes, size_t len, size_t offset)
{
	size_t left = quota - (used < quota ? used : quota);
	int error;

	if (most_written > 0 && len > most_written)
		len = most_written;
	if (offset + len > node->size && offset + len - node->size > left) {
		if (offset >= node->size + left)
			return -EDQUOT;
		len = node->size + left - offset;
	}
	if (offset + len > node->size && (error = resize(node, offset + len)) != 0)
		return -error;
	memmove(node->data + offset, bytes, len);
	touch(node);
	return (ssize_t)len;
}

static size_t there(const struct node *node, size_t len, size_t offset)
{
	size_t left = offset < node->size ? node->size - offset : 0;

	return len < left ? len : left;
}

static struct fuse_entry_param entry_of(struct node *node)
{
	node->lookups++;
	return (struct fuse_entry_param){
		.ino = node == &root ? FUSE_ROOT_ID : (fuse_ino_t)(uintptr_t)node,
		.attr = attributes(node),
	};
}

static void reply_entry(fuse_req_t req, struct node *node)
{
	struct fuse_entry_param entry = entry_of(node);

	fuse_reply_entry(req, &entry);
}

static void fs_lookup(fuse_req_t req, fuse_ino_t parent, const char *text)
{
	struct name *name = *find(node_of(parent), text);

	if (parent == FUSE_ROOT_ID && strcmp(text, control_name) == 0)
		reply_entry(req, &control);
	else if (name)
		reply_entry(req, name->node);
	else
		fuse_reply_err(req, ENOENT);
}

static void fs_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	struct node *node = node_of(ino);

	node->lookups -= count;
	drop_unused(node);
	fuse_reply_none(req);
}

static void fs_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	struct stat found = attributes(node_of(ino));

	(void)info;
	fuse_reply_attr(req, &found, 0);
}

static void fs_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *wanted, int set, struct fuse_file_info *info)
{
	struct node *node = node_of(ino);
	int error = 0;

	if ((set & FUSE_SET_ATTR_SIZE) && node != &control)
		error = resize(node, (size_t)wanted->st_size);
	if (error) {
		fuse_reply_err(req, error);
		return;
	}
	if (set & FUSE_SET_ATTR_MODE)
		node->mode = (node->mode & S_IFMT) | (wanted->st_mode & 07777);
	fs_getattr(req, ino, info);
}

/* Make a name for a new node. NULL: there is one, and that is answered. */
static struct node *create(fuse_req_t req, fuse_ino_t parent, const char *text, mode_t mode)
{
	struct node *node;

	if (*find(node_of(parent), text)) {
		fuse_reply_err(req, EEXIST);
		return NULL;
	}
	node = make_node(req, mode);
	add_name(node_of(parent), text, node);
	return node;
}

static void fs_mkdir(fuse_req_t req, fuse_ino_t parent, const char *text, mode_t mode)
{
	struct node *node = create(req, parent, text, S_IFDIR | (mode & 07777));

	if (node)
		reply_entry(req, node);
}

static void fs_create(fuse_req_t req, fuse_ino_t parent, const char *text, mode_t mode, struct fuse_file_info *info)
{
	struct node *node = create(req, parent, text, mode);
	struct fuse_entry_param entry;

	if (!node)
		return;
	entry = entry_of(node);
	info->direct_io = !cached;
	fuse_reply_create(req, &entry, info);
}

static void fs_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	if ((info->flags & O_TRUNC) && node_of(ino) != &control)
		resize(node_of(ino), 0);
	info->direct_io = node_of(ino) == &control || !cached;
	fuse_reply_open(req, info);
}

static void fs_unlink(fuse_req_t req, fuse_ino_t parent, const char *text)
{
	struct name **place = find(node_of(parent), text);
	int error = !*place ? ENOENT : (*place)->node->names ? ENOTEMPTY : 0;

	if (!error)
		remove_name(node_of(parent), place);
	fuse_reply_err(req, error);
}

static void fs_rename(fuse_req_t req, fuse_ino_t parent, const char *text, fuse_ino_t to, const char *new_text,
                      unsigned flags)
{
	struct name **old = find(node_of(parent), text), **replaced = find(node_of(to), new_text);
	struct node *node = *old ? (*old)->node : NULL;

	if (!node || flags & ~(unsigned)RENAME_NOREPLACE || (*replaced && (flags || (*replaced)->node->names))) {
		fuse_reply_err(req, !node ? ENOENT : flags & ~(unsigned)RENAME_NOREPLACE ? EINVAL : EEXIST);
		return;
	}
	if (*replaced && (*replaced)->node != node)
		remove_name(node_of(to), replaced);
	if (!*find(node_of(to), new_text)) {
		add_name(node_of(to), new_text, node);
		remove_name(node_of(parent), find(node_of(parent), text));
	}
	fuse_reply_err(req, 0);
}

static void fs_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *text)
{
	if (*find(node_of(parent), text)) {
		fuse_reply_err(req, EEXIST);
		return;
	}
	add_name(node_of(parent), text, node_of(ino));
	reply_entry(req, node_of(ino));
}

static void fs_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t cookie, struct fuse_file_info *info)
{
	char batch[4096];
	size_t len = 0, limit = size < sizeof batch ? size : sizeof batch;

	(void)info;
	for (struct name *name = node_of(ino)->names; name; name = name->next) {
		struct stat found = attributes(name->node);
		size_t need;

		if (name->cookie <= cookie)
			continue;
		if (typeless)
			found.st_mode = 0;
		need = fuse_add_direntry(req, batch + len, limit - len, name->text, &found, name->cookie);
		if (need > limit - len)
			break;
		len += need;
	}
	fuse_reply_buf(req, batch, len);
}

static void read_control(fuse_req_t req, size_t size, off_t offset);
static int obey(const char *command);

static void fs_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *info)
{
	struct node *node = node_of(ino);

	(void)info;
	if (node == &control) {
		read_control(req, size, offset);
		return;
	}
	if (most_read > 0 && size > most_read)
		size = most_read;
	size = there(node, size, (size_t)offset);
	fuse_reply_buf(req, size > 0 ? node->data + offset : NULL, size);
}

static void write_control(fuse_req_t req, const char *bytes, size_t size)
{
	char command[100];

	snprintf(command, sizeof command, "%.*s", (int)size, bytes);
	if (obey(command) < 0)
		fuse_reply_err(req, EINVAL);
	else
		fuse_reply_write(req, size);
}

static void fs_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t offset,
                     struct fuse_file_info *info)
{
	struct node *node = node_of(ino);
	ssize_t n;

	(void)info;
	if (node == &control) {
		write_control(req, bytes, size);
		return;
	}
	n = put(node, bytes, size, (size_t)offset);
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else
		fuse_reply_write(req, (size_t)n);
}

static void fs_copy(fuse_req_t req, fuse_ino_t from_ino, off_t from, struct fuse_file_info *from_info,
                    fuse_ino_t to_ino, off_t to, struct fuse_file_info *to_info, size_t len, int flags)
{
	struct node *source = node_of(from_ino);
	char *bytes;
	ssize_t n;

	(void)from_info;
	(void)to_info;
	(void)flags;
	len = there(source, len, (size_t)from);
	bytes = malloc(len + 1); /* the source moves if it is what grows */
	if (!bytes)
		abort();
	memcpy(bytes, source->data + from, len);
	n = len > 0 ? put(node_of(to_ino), bytes, len, (size_t)to) : 0;
	free(bytes);
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else
		fuse_reply_write(req, (size_t)n);
}

static void fs_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	(void)ino;
	(void)info;
	fuse_reply_err(req, 0);
}

static void fs_sync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *info)
{
	(void)datasync;
	fs_flush(req, ino, info);
}

/* Many may be held, and .faults must still get through. */
static void fs_init(void *unused, struct fuse_conn_info *connection)
{
	(void)unused;
	connection->max_background = 10000;
}

static const struct fuse_lowlevel_ops operations = {
	.init = fs_init,
	.lookup = fs_lookup,
	.forget = fs_forget,
	.getattr = fs_getattr,
	.setattr = fs_setattr,
	.mkdir = fs_mkdir,
	.create = fs_create,
	.open = fs_open,
	.read = fs_read,
	.write = fs_write,
	.flush = fs_flush,
	.fsync = fs_sync,
	.unlink = fs_unlink,
	.rmdir = fs_unlink,
	.rename = fs_rename,
	.link = fs_link,
	.readdir = fs_readdir,
	.fsyncdir = fs_sync,
	.copy_file_range = fs_copy,
};

/* --- faults ---------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	unsigned opcode;
} requests[] = {
	{ "lookup", FUSE_LOOKUP },   { "getattr", FUSE_GETATTR },   { "setattr", FUSE_SETATTR },
	{ "mkdir", FUSE_MKDIR },     { "create", FUSE_CREATE },     { "open", FUSE_OPEN },
	{ "read", FUSE_READ },       { "write", FUSE_WRITE },       { "flush", FUSE_FLUSH },
	{ "fsync", FUSE_FSYNC },     { "unlink", FUSE_UNLINK },     { "rmdir", FUSE_RMDIR },
	{ "rename", FUSE_RENAME },   { "link", FUSE_LINK },         { "opendir", FUSE_OPENDIR },
	{ "readdir", FUSE_READDIR }, { "fsyncdir", FUSE_FSYNCDIR }, { "copy", FUSE_COPY_FILE_RANGE },
};
enum { REQUESTS = sizeof requests / sizeof *requests };

struct fault {
	unsigned long count, after, times;
	int error;
	bool hold, interruptible;
};

/* A request that is not answered yet, as the kernel wrote it. */
struct held {
	struct held *next;
	bool interruptible;
	size_t size;
	struct fuse_in_header header[]; /* and what follows it */
};

static struct fuse_session *session;
static struct fault faults[OPCODES];
static struct held *held;
static unsigned long held_count, interrupted;

static void process(void *request, size_t size)
{
	fuse_session_process_buf(session, &(struct fuse_buf){ .mem = request, .size = size });
}

static void answer(uint64_t unique, int error)
{
	struct fuse_out_header header = { .len = sizeof header, .error = -error, .unique = unique };

	if (write(fuse_session_fd(session), &header, sizeof header) < 0 && errno != ENOENT && errno != ENODEV)
		perror("faultfs: answer");
}

static void hold(const struct fuse_in_header *header, size_t size, bool interruptible)
{
	struct held *one = malloc(sizeof *one + size), **end = &held;

	if (!one)
		abort();
	one->next = NULL;
	one->interruptible = interruptible;
	one->size = size;
	memcpy(one->header, header, size);
	while (*end)
		end = &(*end)->next;
	*end = one;
	held_count++;
}

static void let_go(struct held **place)
{
	struct held *one = *place;

	*place = one->next;
	free(one);
	held_count--;
}

static bool fails(struct fault *fault)
{
	if (fault->error == 0 || fault->times == 0)
		return false;
	if (fault->after > 0) {
		fault->after--;
		return false;
	}
	fault->times--;
	return true;
}

static void deliver(struct fuse_in_header *header, size_t size)
{
	struct fault *fault = &faults[header->opcode];

	if (fails(fault))
		answer(header->unique, fault->error);
	else
		process(header, size);
}

static void release(void)
{
	for (unsigned i = 0; i < OPCODES; i++)
		faults[i].hold = false;
	while (held) {
		deliver(held->header, held->size);
		let_go(&held);
	}
}

static void interrupt(uint64_t unique)
{
	interrupted++;
	for (struct held **place = &held; *place; place = &(*place)->next)
		if ((*place)->interruptible && (*place)->header->unique == unique) {
			answer(unique, EINTR);
			let_go(place);
			return;
		}
}

static bool is_for_control(const struct fuse_in_header *header)
{
	return header->nodeid == (uintptr_t)&control ||
	       (header->opcode == FUSE_LOOKUP && strcmp((const char *)(header + 1), control_name) == 0);
}

static void take(struct fuse_in_header *header, size_t size)
{
	struct fault *fault = header->opcode < OPCODES ? &faults[header->opcode] : NULL;

	if (header->opcode == FUSE_INTERRUPT) {
		interrupt(((struct fuse_interrupt_in *)(header + 1))->unique);
		return;
	}
	if (!fault || is_for_control(header)) {
		process(header, size);
		return;
	}
	fault->count++;
	if (fault->hold)
		hold(header, size, fault->interruptible);
	else
		deliver(header, size);
}

static struct fault *fault_of(const char *name)
{
	for (unsigned i = 0; i < REQUESTS; i++)
		if (strcmp(requests[i].name, name) == 0)
			return &faults[requests[i].opcode];
	return NULL;
}

static int obey(const char *command)
{
	char verb[32] = "", name[32] = "";
	unsigned long number = 0, after = 0, times = ULONG_MAX;
	int given = sscanf(command, "%31s %31s %lu %lu %lu", verb, name, &number, &after, &times);
	struct fault *fault = fault_of(name);

	if (strcmp(verb, "fail") == 0 && fault && given >= 3) {
		fault->error = (int)number;
		fault->after = after;
		fault->times = times;
	} else if (strcmp(verb, "most") == 0 && given == 3) {
		*(strcmp(name, "read") == 0 ? &most_read : &most_written) = number;
	} else if (strcmp(verb, "quota") == 0 && given == 2) {
		quota = strtoul(name, NULL, 10);
	} else if (strncmp(verb, "hold", 4) == 0 && fault) {
		fault->hold = true;
		fault->interruptible = strcmp(verb, "hold-interruptible") == 0;
	} else if (strcmp(verb, "release") == 0) {
		release();
	} else if (strcmp(verb, "cached") == 0 || strcmp(verb, "direct") == 0) {
		cached = verb[0] == 'c';
	} else if (strcmp(verb, "typeless") == 0) {
		typeless = true;
	} else {
		return -1;
	}
	return 0;
}

static void read_control(fuse_req_t req, size_t size, off_t offset)
{
	char text[REQUESTS * 40 + 100];
	size_t len = 0;

	for (unsigned i = 0; i < REQUESTS; i++)
		len += (size_t)sprintf(text + len, "%s %lu\n", requests[i].name, faults[requests[i].opcode].count);
	len += (size_t)sprintf(text + len, "held %lu\ninterrupted %lu\n", held_count, interrupted);
	if ((size_t)offset > len)
		offset = (off_t)len;
	fuse_reply_buf(req, text + offset, size < len - (size_t)offset ? size : len - (size_t)offset);
}

/* --- main ------------------------------------------------------------------------------------ */

static int serve(void)
{
	static _Alignas(16) char request[REQUEST_SIZE];

	for (;;) { /* ends when it is unmounted */
		ssize_t n = read(fuse_session_fd(session), request, sizeof request);

		if (n > 0)
			take((struct fuse_in_header *)request, (size_t)n);
		else if (errno != EINTR && errno != EAGAIN && errno != ENOENT) /* taken back in the last moment */
			return errno == ENODEV ? 0 : 1;
	}
}

int main(int argc, char **argv)
{
	char *words[] = { "faultfs", NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, words);
	int r;

	if (argc != 2) {
		fprintf(stderr, "usage: faultfs MOUNTPOINT\n");
		return 2;
	}
	session = fuse_session_new(&args, &operations, sizeof operations, NULL);
	if (!session || fuse_session_mount(session, argv[1]) < 0)
		return 1;
	r = serve();
	fuse_session_unmount(session);
	fuse_session_destroy(session);
	return r;
}
