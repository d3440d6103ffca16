-- The customer windows as they were published first: names and types of then, which round and may be summed wrong. Exact
-- numbers are in customer_windows. Behind the published columns stand market and currency, since a customer's number is
-- unique within its market alone, and amounts are in its currency. A window ends where the next one begins, in local time.
select
  customer_id::integer as "Customer_ID",
  total_order_amount::double precision as "Total_Order_Amount",
  average_order_amount::double precision as "Average_Order_Amount",
  order_count as "Order_Count",
  highest_order_amount::real as "Highest_Order_Amount",
  lowest_order_amount::real as "Lowest_Order_Amount",
  total_quantity_ordered as "Total_Quantity_Ordered",
  average_quantity_per_order::double precision as "Average_Quantity_Per_Ordered",
  total_delivery_distance_km::double precision as "Total_Delivery_Distance",
  average_delivery_distance_km::double precision as "Average_Delivery_Distance",
  distinct_products as "Distict_Products",
  window_start::timestamp without time zone as start_timestamp,
  (window_end + 1)::timestamp without time zone as end_timestamp,
  market,
  currency
from customer_windows
