// rewrite FILE COUNT: writes one byte to the start of FILE COUNT times. The worst a command can do to a watcher.
#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc != 3)
        errx(2, "usage: rewrite FILE COUNT");
    int fd = open(argv[1], O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        err(1, "open %s", argv[1]);
    for (long left = atol(argv[2]); left > 0; left--)
        if (pwrite(fd, "x", 1, 0) != 1)
            err(1, "pwrite %s", argv[1]);
    if (close(fd) != 0)
        err(1, "close %s", argv[1]);
    return 0;
}
