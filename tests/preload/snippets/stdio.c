/* Streams: their bytes, whatever function moves them, and their ends.
 *
 * events:
 *   open fopen path=in read fd=@r inode=@in
 *   io fread fd=@r inode=@in bytes_read=11 reads=1
 *   io fclose fd=@r inode=@in final bytes_read=0
 *   open fopen path=out write create truncate fd=@w inode=@out
 *   io fwrite fd=@w inode=@out bytes_written=6 writes=1
 *   io fclose fd=@w inode=@out final bytes_written=4
 *   open fopen path=out write create append inode=@out
 *   io fwrite inode=@out bytes_written=5
 *   io fclose inode=@out final
 *   open fopen path=out read write inode=@out
 *   io fread inode=@out bytes_read=15
 *   io fwrite inode=@out bytes_written=1
 *   io fclose inode=@out final
 *   open open path=in read inode=@in
 *   io fread inode=@in bytes_read=11
 *   open fopen path=in read inode=@in
 *   [glibc] map fopen length=11 read inode=@in
 *   [musl] io fread bytes_read=11 inode=@in
 *   open fopen path=alone write create truncate exclusive inode=@alone
 *   io fwrite inode=@alone bytes_written=4
 *   io fclose inode=@alone final
 */
#include "harness.h"

TOPIC(stdio)
{
    char line[64];

    make_file("in", "first\nlast\n");
    FILE *in = fopen("in", "r");
    SAY(fgets(line, sizeof line, in) == line);
    SAY(fgetc(in));
    SAY(fscanf(in, "%60s", line));
    say("%s\n", line);
    SAY(fgetc(in));
    SAY(fgetc(in));
    SAY(fclose(in));
    FILE *out = fopen("out", "w");
    SAY(fprintf(out, "%d", 123));
    SAY(fputc('x', out));
    SAY(fputs("yz", out));
    SAY(fflush(out));
    SAY(fwrite("1234", 1, 4, out));
    SAY(fclose(out));
    FILE *more = fopen("out", "a");
    SAY(fputs("more\n", more));
    SAY(fclose(more));
    FILE *both = fopen("out", "r+");
    SAY(fread(line, 1, 15, both));
    SAY(fseek(both, 0, SEEK_SET));
    SAY(fputc('A', both));
    SAY(fclose(both));
    FILE *of_fd = fdopen(open("in", O_RDONLY), "r");
    SAY(getc(of_fd));
    SAY(fclose(of_fd));
    FILE *mapped = fopen("in", "rm");
    SAY(getc(mapped));
    SAY(fclose(mapped));
    SAY(fopen("missing/file", "w") == NULL);
    FILE *alone = fopen("alone", "wx");
    SAY(fputs("mine", alone));
    SAY(fclose(alone));
    SAY(fopen("alone", "wx") == NULL);
}
