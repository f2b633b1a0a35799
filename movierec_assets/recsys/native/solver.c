/* Half a pass of alternating least squares by conjugate gradients, and the training loss.
 *
 * Belongs here: choosing a target and a width; the functions that `library.py` calls. Does not: the arithmetic
 * (`kernels.h`), threads, and checks of what is given: `library.py` makes them before it calls.
 *
 * Neither Python nor OpenMP is used, so that a C compiler is enough to build it. Any number of threads may call at once
 * for different rows. A row's result depends on nothing but the row, so it is the same for any number of threads.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "targets.h"

#define ABI 5 /* `library.py` expects the same number; both rise when an argument changes */

#define MAX_BLOCKS 16
#define ALL_WIDTHS(width) width(1) width(2) width(3) width(4) width(6) width(8) width(12) width(16)

#define BUFFER_BYTES (512 * 1024) /* entries beyond it are read from y in every step; half a second-level cache */
#define AHEAD 12                  /* entries whose factors are fetched ahead */
#define SMALL 1e-20f              /* squared residual at which a row is solved, as in `implicit` */

/* A confidence says how sure a preference is: of 1 when it is positive, of 0 when it is not. As in `implicit`. */
#define MAGNITUDE(c) ((c) > 0 ? (c) : -(c))
#define POSITIVE(c) ((c) > 0 ? (c) : 0)
#define WEIGHT(c) (MAGNITUDE(c) - 1)

#if defined(__clang__)
#define SHUFFLED(v, ...) __builtin_shufflevector(v, v, __VA_ARGS__)
#else
#define SHUFFLED(v, ...) __builtin_shuffle(v, (int32_t __attribute__((vector_size(sizeof(v))))){__VA_ARGS__})
#endif

/* Rows of a sparse matrix, and factors of its rows (x) and of its columns (y): whole blocks, aligned to 64 bytes. */
typedef struct {
    const int64_t *indptr;
    const int32_t *indices;
    const float *confidences;
    const float *y;
    const float *gram;
    float *x;
} Problem;

typedef struct {
    int blocks;
    void (*solve)(const Problem *, const int32_t *rows, int64_t n_rows, int steps, float *buffer, int64_t buffered);
    void (*loss)(const Problem *, const int32_t *rows, int64_t n_rows, double *sums);
} Kernels;

#if defined(__x86_64__)
#define LANES 16
#define TARGET __attribute__((target("avx512f,avx2,fma")))
#define NAMED(name) name##_avx512
#include "kernels.h"
#define LANES 8
#define TARGET __attribute__((target("avx2,fma")))
#define NAMED(name) name##_avx2
#include "kernels.h"
#endif
#define LANES 4
#define TARGET
#define NAMED(name) name##_plain
#include "kernels.h"

/* The fastest first. The last one runs everywhere: SSE2 on x86-64, NEON on 64-bit ARM. */
static const struct {
    const char *name;
    const Kernels *kernels;
} TARGETS[] = {
#if defined(__x86_64__)
    {"avx512", kernels_avx512},
    {"avx2", kernels_avx2},
#endif
    {"plain", kernels_plain},
};
#define N_TARGETS ((int)(sizeof(TARGETS) / sizeof(TARGETS[0])))

EXPORT int movierec_abi(void) { return ABI; }

/* The name of a target, the fastest being 0; NULL after the last. */
EXPORT const char *movierec_target(int target) {
    return target >= 0 && target < N_TARGETS ? TARGETS[target].name : NULL;
}

/* Whether this processor runs a target. */
EXPORT int movierec_runs(int target) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (target == 0) return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("fma");
    if (target == 1) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return target == N_TARGETS - 1;
}

/* The kernels of a target for a number of blocks; NULL when there are none. */
static const Kernels *kernels_of(int target, int blocks) {
    const int widths = sizeof(kernels_plain) / sizeof(kernels_plain[0]);
    if (target < 0 || target >= N_TARGETS) return NULL;
    for (int i = 0; i < widths; i++)
        if (TARGETS[target].kernels[i].blocks == blocks) return TARGETS[target].kernels + i;
    return NULL;
}

/* Improve x of the given rows by at most `steps` steps of conjugate gradients; 0 for a row without entries.
 *
 * Returns 0; -1 when there is no memory for the buffer; -2 when there are no kernels for this number of blocks.
 */
EXPORT int movierec_solve(int target, int blocks, const int64_t *indptr, const int32_t *indices,
                          const float *confidences, const float *y, const float *gram, float *x, const int32_t *rows,
                          int64_t n_rows, int steps) {
    const Problem problem = {indptr, indices, confidences, y, gram, x};
    const Kernels *kernels = kernels_of(target, blocks);
    const size_t bytes = (size_t)blocks * FLOATS_OF_BLOCK * sizeof(float);
    void *buffer = NULL;
    if (!kernels) return -2;
    if (posix_memalign(&buffer, 64, BUFFER_BYTES)) return -1;
    kernels->solve(&problem, rows, n_rows, steps, buffer, (int64_t)(BUFFER_BYTES / bytes));
    free(buffer);
    return 0;
}

/* Add the part of the training loss that comes from the entries of the given rows to `sums[0]`, and the magnitudes of
 * their confidences to `sums[1]`. Returns 0 or -2, as above.
 */
EXPORT int movierec_loss(int target, int blocks, const int64_t *indptr, const int32_t *indices,
                            const float *confidences, const float *y, float *x, const int32_t *rows, int64_t n_rows,
                            double *sums) {
    const Problem problem = {indptr, indices, confidences, y, NULL, x};
    const Kernels *kernels = kernels_of(target, blocks);
    if (!kernels) return -2;
    kernels->loss(&problem, rows, n_rows, sums);
    return 0;
}

/* The factors of one row from 0, float: `back` (factors x factors) times what `movierec_solve` finds.
 *
 * Returns 0; -1 when there is no memory; 1 when an index is not among the n_columns.
 */
EXPORT int movierec_solve_one(int target, int blocks, int64_t n_columns, const int32_t *indices,
                              const float *confidences, int64_t entries, const float *y, const float *gram,
                              const double *back, int64_t factors, int steps, float *x, float *out) {
    const int64_t indptr[2] = {0, entries};
    const int32_t row = 0;
    for (int64_t i = 0; i < entries; i++)
        if (indices[i] < 0 || indices[i] >= n_columns) return 1;
    memset(x, 0, (size_t)blocks * FLOATS_OF_BLOCK * sizeof(float));
    if (movierec_solve(target, blocks, indptr, indices, confidences, y, gram, x, &row, 1, steps)) return -1;
    for (int64_t i = 0; i < factors; i++) {
        double sum = 0;
        for (int64_t j = 0; j < factors; j++) sum += back[i * factors + j] * x[j];
        out[i] = (float)sum;
    }
    return 0;
}
