/* Sums of transitions between likes, and the strongest followers of each movie.
 *
 * Belongs here: the function that `counting.py` calls. Does not: which likes follow each other, and what sums are
 * multiplied by (`next_movies`); threads, and checks of what is given.
 *
 * Sums of a movie are added in the order of its likes, so they do not depend on the number of threads.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "targets.h"

#define AHEAD 16 /* likes whose followers are fetched ahead: they lie anywhere in memory */

/* Likes that transitions start from, movie by movie, and the places of the likes that follow each. */
typedef struct {
    const int32_t *likes;
    const int64_t *indptr;
    const int32_t *start; /* of each like of all */
    const int32_t *stop;
    const float *of_source; /* factors of the rows */
    const float *of_follower;
} Reach;

/* Where the strongest followers of each movie go: `kept` places for each. */
typedef struct {
    int64_t *counts;
    int32_t *columns;
    float *values;
} Strongest;

/* The value that would be at a place if the values were sorted; they are moved. */
static float at_rank(float *values, int64_t n, int64_t rank) {
    int64_t low = 0, high = n - 1;
    while (low < high) {
        const float a = values[low], b = values[low + (high - low) / 2], c = values[high];
        const float pivot = a < b ? (b < c ? b : a < c ? c : a) : (a < c ? a : b < c ? c : b);
        int64_t left = low, right = high;
        while (left <= right) {
            while (values[left] < pivot) left++;
            while (values[right] > pivot) right--;
            if (left > right) break;
            const float swapped = values[left];
            values[left++] = values[right];
            values[right--] = swapped;
        }
        if (rank <= right)
            high = right;
        else if (rank >= left)
            low = left;
        else
            break;
    }
    return values[rank];
}

static void add(float *sums, const Reach *reach, const int32_t *movie, const float *decays, int64_t source) {
    const int64_t stop = reach->indptr[source + 1];
    for (int64_t i = reach->indptr[source]; i < stop; i++) {
        if (i + AHEAD < stop) {
            const int32_t next = reach->likes[i + AHEAD];
            __builtin_prefetch(reach->start + next);
            __builtin_prefetch(reach->stop + next);
            __builtin_prefetch(movie + next);
            __builtin_prefetch(movie + next + FLOATS_OF_BLOCK);
        }
        const int32_t like = reach->likes[i];
        for (int32_t at = reach->start[like]; at < reach->stop[like]; at++) sums[movie[at]] += decays[at - like];
    }
}

/* Those of the products that are more than 0, at most `kept`: the largest, of equal ones the first. */
static int64_t choose(const float *sums, const Reach *reach, int64_t source, int64_t n_movies, int64_t kept,
                      float *values, float *moved, int32_t *columns, int32_t *chosen, float *chosen_values) {
    int64_t n = 0, above = 0, found = 0;
    for (int64_t column = 0; column < n_movies; column++) {
        values[n] = sums[column] * reach->of_source[source] * reach->of_follower[column];
        columns[n] = (int32_t)column;
        n += values[n] > 0;
    }
    if (n <= kept) {
        memcpy(chosen, columns, (size_t)n * sizeof(int32_t));
        memcpy(chosen_values, values, (size_t)n * sizeof(float));
        return n;
    }
    memcpy(moved, values, (size_t)n * sizeof(float));
    const float least = at_rank(moved, n, n - kept);
    for (int64_t i = 0; i < n; i++) above += values[i] > least;
    for (int64_t i = 0, equal = kept - above; i < n; i++) {
        if (values[i] < least || (values[i] == least && equal-- <= 0)) continue;
        chosen[found] = columns[i];
        chosen_values[found++] = values[i];
    }
    return found;
}

/* The strongest followers of the movies from first to before stop, among the likes that the first reach covers; then,
 * where there is a second reach, among those of both. Returns -1 when there is no memory, else 0.
 */
EXPORT int movierec_followers(const int32_t *movie, const float *decays, int64_t n_movies, int64_t first, int64_t stop,
                              const Reach *reaches, int64_t n_reaches, int64_t kept, const Strongest *strongest) {
    float *sums = malloc((size_t)n_movies * 3 * sizeof(float));
    int32_t *columns = malloc((size_t)n_movies * sizeof(int32_t));
    const int failed = !sums || !columns;
    for (int64_t source = first; !failed && source < stop; source++) {
        memset(sums, 0, (size_t)n_movies * sizeof(float));
        for (int64_t i = 0; i < n_reaches; i++) {
            const Strongest *out = strongest + i;
            const int64_t row = source - first;
            add(sums, reaches + i, movie, decays, source);
            out->counts[row] = choose(sums, reaches + i, source, n_movies, kept, sums + n_movies, sums + 2 * n_movies,
                                      columns, out->columns + row * kept, out->values + row * kept);
        }
    }
    free(sums);
    free(columns);
    return -failed;
}
