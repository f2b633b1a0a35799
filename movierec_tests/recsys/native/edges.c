/* Calls of the solver, and of what orders entries, at the edges of their memory, to be built so that every access outside of it ends the program.
 *
 * Every array has exactly the size that `solver.py` promises. Rows are empty, short, as long as what is fetched ahead,
 * and longer than the buffer; their entries are the first and the last columns; confidences are odd.
 */
#include "solver.c"

#include "ordering.c"

#include <math.h>
#include <stdio.h>

#define COLUMNS 9000

static float *factors(int64_t rows, int blocks) {
    const int64_t floats = rows * blocks * FLOATS_OF_BLOCK;
    float *made = aligned_alloc(64, (size_t)floats * sizeof(float));
    for (int64_t i = 0; i < floats; i++) made[i] = (float)(i * 2654435761u % 1000) / 1000 - 0.5f;
    return made;
}

int main(void) {
    const int lengths[] = {0, 1, 2, AHEAD - 1, AHEAD, AHEAD + 1, COLUMNS, 0, 5};
    const float odd[] = {1, 0, 5, 1e20f, -3, NAN, 0.5f};
    enum { ROWS = sizeof(lengths) / sizeof(lengths[0]) };
    int64_t *indptr = malloc((ROWS + 1) * sizeof(int64_t)), entries = 0;
    int32_t *order = malloc(ROWS * sizeof(int32_t));
    for (int row = 0; row < ROWS; row++) {
        order[row] = ROWS - 1 - row;
        indptr[row] = entries;
        entries += lengths[row];
    }
    indptr[ROWS] = entries;
    int32_t *indices = malloc((size_t)entries * sizeof(int32_t));
    float *confidences = malloc((size_t)entries * sizeof(float));
    for (int row = 0; row < ROWS; row++)
        for (int64_t j = 0; j < lengths[row]; j++) {
            indices[indptr[row] + j] = j % 2 ? (int32_t)(j / 2) : (int32_t)(COLUMNS - 1 - j / 2);
            confidences[indptr[row] + j] = odd[j % 7];
        }
    double *sums = calloc(2, sizeof(double));
    int calls = 0;
    for (int target = 0; target < N_TARGETS; target++)
        for (int blocks = 1; blocks <= MAX_BLOCKS; blocks++) {
            if (!movierec_runs(target) || !kernels_of(target, blocks)) continue;
            float *x = factors(ROWS, blocks), *y = factors(COLUMNS, blocks);
            float *gram = factors(blocks * FLOATS_OF_BLOCK, blocks);
            if (movierec_solve(target, blocks, indptr, indices, confidences, y, gram, x, order, ROWS, 4)) return 1;
            if (movierec_loss(target, blocks, indptr, indices, confidences, y, x, order, ROWS, sums)) return 1;
            calls++;
            free(x), free(y), free(gram);
        }
    if (movierec_solve(0, 5, indptr, indices, confidences, NULL, NULL, NULL, order, ROWS, 4) != -2) return 1;
    if (movierec_solve(N_TARGETS, 1, indptr, indices, confidences, NULL, NULL, NULL, order, ROWS, 4) != -2) return 1;
    int64_t *times = malloc((size_t)entries * sizeof(int64_t));
    int32_t *by_time = malloc((size_t)entries * sizeof(int32_t));
    uint8_t *is_new = malloc((size_t)entries);
    int32_t *ranks = malloc((size_t)entries * sizeof(int32_t));
    for (int64_t i = 0; i < entries; i++) times[i] = i * 2654435761u % 97;
    if (movierec_by_time(indptr, 0, ROWS, times, by_time, is_new, ranks)) return 1;
    if (movierec_by_time(indptr, 0, ROWS, times, NULL, NULL, NULL)) return 1;
    free(times), free(by_time), free(is_new), free(ranks);
    free(indptr), free(order), free(indices), free(confidences), free(sums);
    printf("%d\n", calls);
    return 0;
}
