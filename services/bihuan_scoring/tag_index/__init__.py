"""
The tag index: for each tag value a bitmap of the persons who have it, so that an expression over everyone takes
milliseconds.

The index is made of segments, as a log-structured tree is: the newest segment that says something of a person counts,
older ones hide that person. A segment holds the persons of one block of 2^32 ids under their low 32 bits, as 32-bit
bitmaps are 1.3 to 1.5 times as fast as 64-bit ones (10 tags over 2·10^7 persons: 9 against 11 to 14 ms). It never
changes; changes of profiles make a new small one, and small ones are merged. Segments are files that are mapped into
memory: opening one reads its directory, a bitmap is read when it is first asked for.

Interests decay, all by the same factor, so a segment keeps each weight as of one instant, its origin, and moves what it
is compared with instead.
"""
