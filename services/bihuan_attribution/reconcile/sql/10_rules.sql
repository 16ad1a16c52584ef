-- Exact arithmetic: 128-bit integers, never a double.

-- A quotient of amounts that are not negative, rounded half to even.
CREATE MACRO half_even(amount, divisor) AS
    (amount // divisor)
    + CASE
        WHEN 2 * (amount % divisor) > divisor THEN 1
        WHEN 2 * (amount % divisor) = divisor AND (amount // divisor) % 2 = 1 THEN 1
        ELSE 0
      END;

-- The part of an amount that some millionths are.
CREATE MACRO ppm_part(amount, ppm) AS half_even(amount::HUGEINT * ppm::HUGEINT, 1000000::HUGEINT);

-- A click may wait so long for its impression.
CREATE MACRO pending_us() AS 7 * 24 * 3600 * 1000000::BIGINT;

CREATE MACRO hour_of(instant_us) AS instant_us // (3600 * 1000000::BIGINT);
