-- One row per customer and state of its attributes; a customer of orders alone has one state, without attributes.
SELECT
    customer_key,
    market,
    customer_id,
    is_known,
    last_used_platform,
    language,
    is_blocked,
    number_of_employees,
    valid_from,
    valid_to,
    is_current,
    version
FROM customer_states
ORDER BY market, customer_id, version;
