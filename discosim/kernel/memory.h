/* Series in which each value remembers the one before of the same owner: `core/empirical`. */

void remember(double rho, double step, const i64 *before, double *values, i64 n)
{
    for (i64 i = 0; i < n; i++)
        if (before[i] >= 0) values[i] = rho * values[before[i]] + step * values[i];
}

void remember_in_row(double rho, double *values, i64 n) /* one owner, steps already taken */
{
    double latest = 0.0;
    for (i64 i = 0; i < n; i++) values[i] = latest = rho * latest + values[i];
}
