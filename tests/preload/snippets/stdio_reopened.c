/* freopen, with a path and without, and files without a name.
 *
 * events:
 *   open fopen path=one write create truncate inode=@one
 *   io fwrite inode=@one bytes_written=3
 *   io fclose|freopen inode=@one final
 *   open freopen path=two write create truncate inode=@two
 *   io fwrite inode=@two bytes_written=4
 *   io fclose inode=@two final
 *   open tmpfile path=/tmp/* read write create exclusive inode=@tmp mode=0o600
 *   io fwrite inode=@tmp bytes_written=5
 *   io fread inode=@tmp bytes_read=5
 *   io fclose inode=@tmp final
 */
#include "harness.h"

TOPIC(stdio_reopened)
{
    char text[16] = "";
    FILE *stream = fopen("one", "w");

    SAY(fputs("one", stream));
    stream = freopen("two", "w", stream);
    SAY(stream != NULL);
    SAY(fputs("two!", stream));
    SAY(fclose(stream));
    FILE *unnamed = tmpfile();
    SAY(fputs("three", unnamed));
    rewind(unnamed);
    SAY(fread(text, 1, sizeof text, unnamed));
    say("%s\n", text);
    SAY(fclose(unnamed));
}
