/* The best movies of users, by the product of vectors and what is added to it.
 *
 * Belongs here: lists, and the functions that `ranking.py` calls. Does not: the arithmetic (`ranking_kernels.h`),
 * threads, and checks of what is given: `ranking.py` makes them before it calls.
 *
 * A user's list depends on nothing but the user, so it is the same for any number of threads.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "targets.h"

#define FIRST 1024      /* movies with the longest vectors, which are looked at first */
#define BLOCK 64        /* movies that are passed over together */
#define PART 1024       /* numbers that are added in single precision */
#define ROUNDING 1e-4   /* products and lengths in single precision differ from exact ones by a smaller share */
#define NEAR 1e-2       /* as in `moment` */
#define EQUAL 1e-5      /* as in `moment` */
#define PADDED(n) (((n) + FLOATS_OF_BLOCK - 1) / FLOATS_OF_BLOCK * FLOATS_OF_BLOCK)

/* Movies by falling length of their vectors; `columns` are what lists name them by, NULL for their places. */
typedef struct {
    const float *vectors;
    const float *lengths;
    const int32_t *columns;
    const int32_t *places; /* of columns */
    int64_t n;
    int64_t floats; /* of a vector, whole blocks */
} Movies;

typedef struct {
    const float *vectors;
    const double *means;
    const double *strength; /* of the standardized signal; 0 where it adds nothing */
    const int64_t *seen_indptr;
    const int32_t *seen;
    const int64_t *recent_indptr;
    const int32_t *recent;
    const float *recency;
} Users;

typedef struct {
    const int64_t *indptr;
    const int32_t *indices;
    const float *values;
} Followers;

typedef struct {
    float value;
    int32_t column;
} Entry;

/* The best so far, as a heap with the worst on top; the floor is its value once the list is full. */
typedef struct {
    Entry *entries;
    int64_t size;
    int64_t k;
    float floor;
} List;

INLINE int worse(Entry a, Entry b) { return a.value < b.value || (a.value == b.value && a.column > b.column); }

INLINE void sink(Entry *heap, int64_t size, Entry entry) {
    int64_t at = 0;
    for (int64_t child = 1; child < size; child = 2 * at + 1) {
        if (child + 1 < size && worse(heap[child + 1], heap[child])) child++;
        if (!worse(heap[child], entry)) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = entry;
}

INLINE void offer(List *list, float value, int32_t column) {
    const Entry entry = {value, column};
    if (!(value > -INFINITY)) return;
    if (list->size < list->k) {
        int64_t at = list->size++;
        while (at && worse(entry, list->entries[(at - 1) / 2])) {
            list->entries[at] = list->entries[(at - 1) / 2];
            at = (at - 1) / 2;
        }
        list->entries[at] = entry;
    } else if (worse(list->entries[0], entry)) {
        sink(list->entries, list->k, entry);
    }
    if (list->size == list->k) list->floor = list->entries[0].value;
}

/* Sort the entries, best first; returns their number. */
INLINE int64_t in_order(List *list) {
    for (int64_t size = list->size - 1; size > 0; size--) {
        const Entry worst = list->entries[0];
        sink(list->entries, size, list->entries[size]);
        list->entries[size] = worst;
    }
    return list->size;
}

typedef struct {
    void (*rank)(const Movies *, const Users *, const Followers *, int64_t first, int64_t stop, int64_t k, float *added,
                 float *scaled, Entry *entries, int32_t *items, float *scores);
    int64_t (*best)(const Movies *, const float *vector, const float *added, const uint8_t *hidden,
                    const int32_t *passing, int64_t n, List *list);
} Ranking;

#if defined(__x86_64__)
#define LANES 16
#define TARGET __attribute__((target("avx512f,avx2,fma")))
#define NAMED(name) name##_avx512
#include "ranking_kernels.h"
#define LANES 8
#define TARGET __attribute__((target("avx2,fma")))
#define NAMED(name) name##_avx2
#include "ranking_kernels.h"
#endif
#define LANES 4
#define TARGET
#define NAMED(name) name##_plain
#include "ranking_kernels.h"

static const Ranking *const RANKINGS[] = {
#if defined(__x86_64__)
    &ranking_avx512, &ranking_avx2,
#endif
    &ranking_plain,
};

/* The k best movies of the users from first to before stop that they have not seen: columns, -1 at the end of short
 * lists, and scores, not a number there. Returns -1 when there is no memory, else 0.
 */
EXPORT int movierec_rank(int target, const Movies *movies, const Users *users, const Followers *followers,
                         int64_t first, int64_t stop, int64_t k, int32_t *items, float *scores) {
    float *floats = malloc((size_t)(PADDED(movies->n) + movies->floats) * sizeof(float));
    Entry *entries = malloc((size_t)k * sizeof(Entry));
    if (floats && entries)
        RANKINGS[target]->rank(movies, users, followers, first, stop, k, floats, floats + PADDED(movies->n), entries,
                               items, scores);
    const int failed = !floats || !entries;
    free(floats);
    free(entries);
    return -failed;
}

/* The k best movies of one user among the n that pass, ascending places or NULL for all, and are not hidden.
 *
 * `added` is NULL where nothing is added to products. Returns their number; places and scores are best first.
 */
EXPORT int64_t movierec_best(int target, const Movies *movies, const float *vector, const float *added,
                             const uint8_t *hidden, const int32_t *passing, int64_t n, int64_t k, int32_t *places,
                             float *scores) {
    Entry *entries = malloc((size_t)k * sizeof(Entry));
    if (!entries) return -1;
    List list = {entries, 0, k, -INFINITY};
    const int64_t found = RANKINGS[target]->best(movies, vector, added, hidden, passing, n, &list);
    for (int64_t i = 0; i < found; i++) {
        places[i] = entries[i].column;
        scores[i] = entries[i].value;
    }
    free(entries);
    return found;
}
