/* file_reader - a file read ahead: chunks of one buffer each, and a ring of buffers that the next ones are read into.
 * Relies on flight. Keeps: chunk i lies in buffer i % count or nowhere; no buffer is read into while the user may look
 * at it, which is until his next call. */
#ifndef TORC_SRC_FILE_READER_H
#define TORC_SRC_FILE_READER_H

#include <torc/file_reader.h>

#endif
