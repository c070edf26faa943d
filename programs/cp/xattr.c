/* xattr - extended attributes of files and directories; ACLs and capabilities are such. */
#include "cp.h"

#include <string.h>
#include <sys/xattr.h>

enum { MOST = 64 << 10 }; /* bytes of a list, and of a value (xattr(7)) */

/* What only the privileged may set is kept where permitted, as owners are. */
static bool is_privileged(const char *name)
{
	return strncmp(name, "security.", 9) == 0 || strncmp(name, "trusted.", 8) == 0;
}

static bool keep_one(int from, int to, const char *name, const char *to_name)
{
	static _Thread_local char value[MOST];
	ssize_t len = fgetxattr(from, name, value, sizeof value);

	if (len >= 0 && fsetxattr(to, name, value, (size_t)len, 0) == 0)
		return true;
	if (len < 0 && errno == ENODATA) /* it is gone meanwhile */
		return true;
	if (errno == EPERM && is_privileged(name))
		return true;
	return complain(errno, "cannot keep '%s' of '%s'", name, to_name);
}

/* One that came from the directory's default ACL is not the source's. */
static bool drop_acl(int to, const char *name, const char *to_name)
{
	if (fremovexattr(to, name) == 0 || errno == ENODATA || errno == ENOTSUP)
		return true;
	return complain(errno, "cannot drop the ACL of '%s'", to_name);
}

bool keep_xattrs(int from, int to, const char *from_name, const char *to_name)
{
	static _Thread_local char names[MOST];
	ssize_t len = flistxattr(from, names, sizeof names);
	bool good;

	if (len < 0 && errno != ENOTSUP)
		return complain(errno, "cannot list the attributes of '%s'", from_name);
	good = drop_acl(to, "system.posix_acl_access", to_name) && drop_acl(to, "system.posix_acl_default", to_name);
	for (const char *name = names; name < names + len; name += strlen(name) + 1)
		good = keep_one(from, to, name, to_name) && good;
	return good;
}
