// create DIRECTORY COUNT: makes COUNT files of 64 bytes, a hundred to each directory DIRECTORY/0, 1, ..., which exist.
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc != 3)
        errx(2, "usage: create DIRECTORY COUNT");
    char content[64], path[4096];
    memset(content, 'x', sizeof content);
    for (long number = 0, count = atol(argv[2]); number < count; number++) {
        snprintf(path, sizeof path, "%s/%ld/%ld", argv[1], number / 100, number % 100);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0)
            err(1, "open %s", path);
        if (write(fd, content, sizeof content) != sizeof content)
            err(1, "write %s", path);
        if (close(fd) != 0)
            err(1, "close %s", path);
    }
    return 0;
}
