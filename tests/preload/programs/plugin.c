/* A library that is loaded while a program runs. */
int plugin(void)
{
    return 11;
}

#ifdef AUDITS
/* ld.so loads it to be told of what it does: rtld-audit(7). */
unsigned int la_version(unsigned int version)
{
    return version;
}
#endif
