/* Ranking for one target; `ranking.c` includes this file once for each.
 *
 * Belongs here: the best movies of a user. Does not: the choice of a target. The including file defines LANES (floats
 * of a vector register), TARGET (attribute of the functions) and NAMED (a name of this target).
 *
 * A product of vectors is at most the product of their lengths. Movies are sorted by falling length, so the lowest score
 * of a full list says which movies can still enter it.
 */
#define lanes NAMED(ranking_lanes)
#define bits NAMED(ranking_bits)
#define PER_BLOCK (FLOATS_OF_BLOCK / LANES)

typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(4)));
typedef int32_t bits __attribute__((vector_size(LANES * sizeof(float))));

TARGET INLINE float NAMED(total)(lanes v) {
    float parts[LANES], sum = 0;
    memcpy(parts, &v, sizeof v);
    UNROLL
    for (int width = LANES / 2; width; width /= 2)
        for (int i = 0; i < width; i++) parts[i] += parts[i + width];
    sum = parts[0];
    return sum;
}

TARGET INLINE float NAMED(product)(const float *a, const float *b, int64_t floats) {
    lanes sum = {0};
    for (int64_t i = 0; i < floats; i += LANES) sum += *(const lanes *)(a + i) * *(const lanes *)(b + i);
    return NAMED(total)(sum);
}

/* Whether one of the movies of a block can reach the floor. */
TARGET INLINE int NAMED(within_reach)(const float *lengths, const float *added, float length, float floor) {
    bits found = {0};
    UNROLL
    for (int i = 0; i < BLOCK; i += LANES)
        found |= *(const lanes *)(lengths + i) * length + *(const lanes *)(added + i) >= floor;
    int64_t words[LANES / 2], any = 0;
    memcpy(words, &found, sizeof found);
    UNROLL
    for (int i = 0; i < LANES / 2; i++) any |= words[i];
    return any != 0;
}

TARGET INLINE void NAMED(try_movie)(const Movies *movies, const float *vector, float length, const float *added,
                                    int64_t place, List *list) {
    const float extra = added ? added[place] : 0;
    if (list->size == list->k && movies->lengths[place] * length + extra < list->floor) return;
    const float value = NAMED(product)(vector, movies->vectors + place * movies->floats, movies->floats) + extra;
    offer(list, value, movies->columns ? movies->columns[place] : (int32_t)place);
}

/* Mean and standard deviation of a signal; see `moment.spread_of_signal`. `added` is 0 from n to the end of its block. */
TARGET INLINE void NAMED(spread)(const float *added, int64_t n, double *mean, double *deviation) {
    double sum = 0, squares = 0;
    for (int64_t start = 0; start < n; start += PART) {
        const int64_t end = start + PART < PADDED(n) ? start + PART : PADDED(n);
        lanes s = {0}, q = {0};
        for (int64_t i = start; i < end; i += LANES) {
            const lanes v = *(const lanes *)(added + i);
            s += v;
            q += v * v;
        }
        sum += NAMED(total)(s);
        squares += NAMED(total)(q);
    }
    const double size = squares / n;
    double variance;
    *mean = sum / n;
    variance = size - *mean * *mean;
    if (variance < NEAR * size) { /* nearly equal values: their difference would be one of rounding errors */
        variance = 0;
        for (int64_t i = 0; i < n; i++) variance += (added[i] - *mean) * (added[i] - *mean);
        variance /= n;
    }
    *deviation = variance > EQUAL * EQUAL * size ? sqrt(variance) : 1;
}

/* The best movies of one user; `added` is the signal, and -inf for seen movies. */
TARGET INLINE void NAMED(fill)(const Movies *movies, const float *vector, float *added, int64_t strongest,
                               const Followers *followers, List *list) {
    const int64_t n = movies->n, first = n < FIRST ? n : FIRST;
    const float length = (float)(sqrt((double)NAMED(product)(vector, vector, movies->floats)) * (1 + ROUNDING));
    for (int64_t place = 0; place < first; place++)
        if (added[place] > -INFINITY) NAMED(try_movie)(movies, vector, length, added, place, list);
    if (!followers) { /* no signal: the movies that come later are shorter and shorter */
        for (int64_t place = first; place < n; place++) {
            if (list->size == list->k && movies->lengths[place] * length < list->floor) return;
            if (added[place] > -INFINITY) NAMED(try_movie)(movies, vector, length, added, place, list);
        }
        return;
    }
    if (strongest >= 0) /* likely ones, so that the floor rises before the others are looked at */
        for (int64_t i = followers->indptr[strongest]; i < followers->indptr[strongest + 1]; i++) {
            const int64_t place = movies->places[followers->indices[i]];
            if (place < first || !(added[place] > -INFINITY)) continue;
            NAMED(try_movie)(movies, vector, length, added, place, list);
            added[place] = -INFINITY;
        }
    for (int64_t start = first; start < n; start += BLOCK) {
        const int64_t end = start + BLOCK < n ? start + BLOCK : n;
        if (end == start + BLOCK && list->size == list->k &&
            !NAMED(within_reach)(movies->lengths + start, added + start, length, list->floor))
            continue;
        for (int64_t place = start; place < end; place++)
            if (added[place] > -INFINITY) NAMED(try_movie)(movies, vector, length, added, place, list);
    }
}

TARGET static void NAMED(rank)(const Movies *movies, const Users *users, const Followers *followers, int64_t first,
                               int64_t stop, int64_t k, float *added, float *scaled, Entry *entries, int32_t *items,
                               float *scores) {
    const int64_t n = movies->n, floats = movies->floats;
    memset(added, 0, (size_t)PADDED(n) * sizeof(float));
    for (int64_t user = first; user < stop; user++) {
        const double strength = followers ? users->strength[user] : 0;
        double share = 1, offset = users->means[user];
        int64_t strongest = -1;
        if (strength > 0) {
            float most = 0;
            for (int64_t i = users->recent_indptr[user]; i < users->recent_indptr[user + 1]; i++) {
                const int32_t like = users->recent[i];
                const float weight = users->recency[i];
                if (weight > most) {
                    most = weight;
                    strongest = like;
                }
                for (int64_t j = followers->indptr[like]; j < followers->indptr[like + 1]; j++)
                    added[movies->places[followers->indices[j]]] += weight * followers->values[j];
            }
            double mean, deviation;
            NAMED(spread)(added, n, &mean, &deviation);
            share = strength / deviation;
            offset += share * mean;
        }
        for (int64_t i = users->seen_indptr[user]; i < users->seen_indptr[user + 1]; i++)
            added[movies->places[users->seen[i]]] = -INFINITY;
        /* Dividing the vector by the share of the signal, and not multiplying the signal, leaves the order as it is. */
        for (int64_t i = 0; i < floats; i++) scaled[i] = (float)(users->vectors[user * floats + i] / share);
        List list = {entries, 0, k, -INFINITY};
        NAMED(fill)(movies, scaled, added, strongest, strength > 0 ? followers : NULL, &list);
        const int64_t found = in_order(&list);
        for (int64_t i = 0; i < k; i++) {
            items[user * k + i] = i < found ? entries[i].column : -1;
            scores[user * k + i] = i < found ? (float)(entries[i].value * share - offset) : NAN;
        }
        memset(added, 0, (size_t)n * sizeof(float));
    }
}

TARGET static int64_t NAMED(best)(const Movies *movies, const float *vector, const float *added, const uint8_t *hidden,
                                  const int32_t *passing, int64_t n, List *list) {
    const float length = (float)(sqrt((double)NAMED(product)(vector, vector, movies->floats)) * (1 + ROUNDING));
    for (int64_t i = 0; i < n; i++) {
        const int64_t place = passing ? passing[i] : i;
        if (!added && list->size == list->k && movies->lengths[place] * length < list->floor) break;
        if (added && !passing && i % BLOCK == 0 && i + BLOCK <= n && list->size == list->k &&
            !NAMED(within_reach)(movies->lengths + i, added + i, length, list->floor)) {
            i += BLOCK - 1;
            continue;
        }
        if (!hidden[place]) NAMED(try_movie)(movies, vector, length, added, place, list);
    }
    return in_order(list);
}

static const Ranking NAMED(ranking) = {NAMED(rank), NAMED(best)};

#undef lanes
#undef bits
#undef PER_BLOCK
#undef LANES
#undef TARGET
#undef NAMED
