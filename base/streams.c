/*
 * Descriptors are given out lowest first, so opening in ascending order fills each gap.
 */
#include "base/streams.h"

#include "base/must.h"

#include <fcntl.h>
#include <unistd.h>

void streams_keep_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0)
            must(open("/dev/null", O_RDONLY) == fd);
    }
}
