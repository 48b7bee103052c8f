/* More than a stream's buffer holds, by characters and in blocks: counted once per system call, and all of it.
 *
 * events:
 *   open fopen path=large write create truncate inode=@large
 *   io fwrite inode=@large bytes_written=*
 *   io fclose inode=@large final bytes_written=*
 *   open fopen path=large read inode=@large
 *   io fread inode=@large bytes_read=*
 *   io fclose inode=@large final bytes_read=*
 *   sum io bytes_written=300000 bytes_read=300000
 */
#include "harness.h"

TOPIC(stdio_large)
{
    static char block[100000];
    int sum = 0, c;
    FILE *stream = fopen("large", "w");

    for (int i = 0; i < 100000; i++)
        putc(i % 7 + 'a', stream);
    SAY(fwrite(block, 1, sizeof block, stream));
    SAY(fwrite(block, sizeof block, 1, stream));
    SAY(fclose(stream));
    stream = fopen("large", "r");
    for (int i = 0; i < 1000 && (c = getc(stream)) != EOF; i++)
        sum += c;
    SAY(fread(block, 1, sizeof block, stream));
    while ((c = getc(stream)) != EOF)
        sum += c;
    say("%d\n", sum);
    SAY(fclose(stream));
}
