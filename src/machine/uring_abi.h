/* uring_abi - what the kernel has had since Debian 12's headers were cut (they end at Linux 6.1). */
#ifndef TORC_SRC_URING_ABI_H
#define TORC_SRC_URING_ABI_H

#include <linux/io_uring.h>

#ifndef IORING_ENTER_NO_IOWAIT /* 6.15 */
#define IORING_ENTER_NO_IOWAIT (1U << 7)
#endif
#ifndef IORING_FEAT_NO_IOWAIT
#define IORING_FEAT_NO_IOWAIT (1U << 17)
#endif
#ifndef IORING_REGISTER_SEND_MSG_RING /* 6.13 */
#define IORING_REGISTER_SEND_MSG_RING 31
#endif
#ifndef RWF_DONTCACHE /* 6.14 */
#define RWF_DONTCACHE 0x00000080
#endif
#ifndef RWF_NOSIGNAL /* 6.18 */
#define RWF_NOSIGNAL 0x00000100
#endif

#define URING_FUTEX_PRIVATE_32 (2 | 128) /* FUTEX2_SIZE_U32 | FUTEX2_PRIVATE */

/* Operations are enumerators, which no #ifndef finds: so these have names of our own. */
enum {
	URING_OP_WAITID = 50,     /* IORING_OP_WAITID, 6.7 */
	URING_OP_FUTEX_WAIT = 51, /* IORING_OP_FUTEX_WAIT, 6.7 */
	URING_OP_FTRUNCATE = 55,  /* IORING_OP_FTRUNCATE, 6.9 */
};

#endif
