/* Entries of each row of a sparse matrix in the order of their times.
 *
 * Belongs here: the function that `ordering.py` calls. Does not: what the orders are used for (`interactions`),
 * threads, and checks of what is given.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "targets.h"

#define SHORT 24 /* entries up to which insertion sorts fastest */

typedef struct {
    int64_t time;
    int64_t place; /* among all entries */
} Entry;

static void insert(Entry *entries, int64_t n) {
    for (int64_t i = 1; i < n; i++) {
        const Entry entry = entries[i];
        int64_t at = i;
        for (; at > 0 && entries[at - 1].time > entry.time; at--) entries[at] = entries[at - 1];
        entries[at] = entry;
    }
}

/* Sort by time; entries of one time keep their order. `other` has room for as many. */
static void sort(Entry *entries, Entry *other, int64_t n) {
    if (n <= SHORT) {
        insert(entries, n);
        return;
    }
    const int64_t half = n / 2;
    sort(entries, other, half);
    sort(entries + half, other, n - half);
    if (entries[half - 1].time <= entries[half].time) return;
    memcpy(other, entries, (size_t)half * sizeof(Entry));
    int64_t left = 0, right = half, at = 0;
    while (left < half && right < n)
        entries[at++] = entries[right].time < other[left].time ? entries[right++] : other[left++];
    memcpy(entries + at, other + left, (size_t)(half - left) * sizeof(Entry));
}

/* For the rows from first to before stop: the entries in the order of their times, whether each, in this order, is the
 * first of its row or of its time, and how many entries of the row are later than each, where entries of one time share
 * the mean, rounded down. Each of the three is left out where its place is NULL. Returns -1 when there is no memory,
 * else 0.
 */
EXPORT int movierec_by_time(const int64_t *indptr, int64_t first, int64_t stop, const int64_t *times, int32_t *order,
                            uint8_t *is_new, int32_t *ranks) {
    int64_t longest = 0;
    for (int64_t row = first; row < stop; row++) {
        const int64_t n = indptr[row + 1] - indptr[row];
        if (n > longest) longest = n;
    }
    if (!longest) return 0;
    Entry *entries = malloc((size_t)longest * 2 * sizeof(Entry));
    if (!entries) return -1;
    for (int64_t row = first; row < stop; row++) {
        const int64_t start = indptr[row], n = indptr[row + 1] - start;
        for (int64_t i = 0; i < n; i++) entries[i] = (Entry){times[start + i], start + i};
        sort(entries, entries + longest, n);
        for (int64_t i = 0, end; i < n; i = end) {
            for (end = i + 1; end < n && entries[end].time == entries[i].time;) end++;
            for (int64_t at = i; at < end; at++) {
                if (order) order[start + at] = (int32_t)entries[at].place;
                if (is_new) is_new[start + at] = at == i;
                if (ranks) ranks[entries[at].place] = (int32_t)(n - end + (end - i - 1) / 2);
            }
        }
    }
    free(entries);
    return 0;
}
