"""Check a query against an allow-list of functions and statements, on DuckDB's own syntax tree. No I/O.

Everything that is not listed here is refused. So functions that a later DuckDB adds are refused too.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Collection, Iterator
from typing import Any

import duckdb

from gozen.errors import BadRequest, TableNotFound

TRUST = "on your own machine `gozen sql --trusted` and api.sql(..., trusted=True) may open files"

_OPERATORS = "!__postfix !~~ !~~* % & && * ** + - ->> / // <-> << <=> <@ >> @ @> ^ ^@ | || ~ ~~ ~~* ~~~ ->"
_NUMBERS = """
    abs acos acosh add asin asinh atan atan2 atanh bit_count cbrt ceil ceiling cos cosh cot degrees divide even exp
    factorial fdiv floor fmod gamma gcd greatest greatest_common_divisor hash isfinite isinf isnan lcm least
    least_common_multiple lgamma ln log log10 log2 mod multiply nextafter nullif pi pow power radians random round
    round_even roundbankers sign signbit sin sinh sqrt subtract tan tanh trunc xor
"""
_TEXTS = """
    ascii bar base64 bin bit_length char_length character_length chr concat concat_ws contains damerau_levenshtein
    decode editdist3 encode ends_with format formatreadabledecimalsize formatreadablesize format_bytes from_base64
    from_binary
    from_hex hamming hex ilike_escape instr jaccard jaro_similarity jaro_winkler_similarity lcase left left_grapheme len
    length length_grapheme levenshtein like_escape lower ltrim md5 md5_number mismatches nfc_normalize not_ilike_escape
    not_like_escape octet_length ord position prefix printf regexp_escape regexp_extract regexp_extract_all
    regexp_full_match regexp_matches regexp_replace regexp_split_to_array replace reverse right right_grapheme rtrim
    sha1 sha256 split split_part starts_with str_split str_split_regex string_split string_split_regex string_to_array
    strip_accents strlen strpos substr substring substring_grapheme suffix to_base to_base64 to_binary to_hex translate
    trim ucase unbin unhex unicode upper url_decode url_encode uuid gen_random_uuid uuidv4 uuidv7
"""
_TIMES = """
    age ago century current_date current_localtime current_localtimestamp date_add date_diff date_part date_sub
    date_trunc datediff datepart datesub datetrunc day dayname dayofmonth dayofweek dayofyear days_in_month decade epoch
    epoch_ms epoch_ns epoch_us era get_current_time get_current_timestamp hour isodow isoyear julian last_day make_date
    make_time make_timestamp make_timestamp_ms make_timestamp_ns make_timestamptz microsecond millennium millisecond
    minute month monthname nanosecond normalized_interval now quarter second strftime strptime time_bucket timezone
    timezone_hour timezone_minute to_centuries to_days to_decades to_hours to_microseconds to_millennia to_milliseconds
    to_minutes to_months to_quarters to_seconds to_timestamp to_weeks to_years today transaction_timestamp try_strptime
    week weekday weekofyear year yearweek
"""
_LISTS = """
    aggregate apply array_aggr array_aggregate array_append array_apply array_cat array_concat array_contains
    array_cosine_distance array_cosine_similarity array_cross_product array_distance array_distinct array_dot_product
    array_extract array_filter array_grade_up array_has array_has_all array_has_any array_indexof array_inner_product
    array_intersect array_length array_negative_dot_product array_negative_inner_product array_pop_back array_pop_front
    array_position array_prepend array_push_back array_push_front array_reduce array_reverse array_reverse_sort
    array_select array_slice array_sort array_to_string array_transform array_unique array_value array_where array_zip
    cardinality element_at filter flatten generate_subscripts grade_up list_aggr list_aggregate list_any_value
    list_append list_apply list_approx_count_distinct list_avg list_bit_and list_bit_or list_bit_xor list_bool_and
    list_bool_or list_cat list_concat list_contains list_cosine_distance list_cosine_similarity list_count list_distance
    list_distinct list_dot_product list_element list_entropy list_extract list_filter list_first list_grade_up list_has
    list_has_all list_has_any list_histogram list_indexof list_inner_product list_intersect list_kurtosis
    list_kurtosis_pop list_last list_mad list_max list_median list_min list_mode list_negative_dot_product
    list_negative_inner_product list_pack list_position list_prepend list_product list_reduce list_reverse
    list_reverse_sort list_select list_sem list_skewness list_slice list_sort list_stddev_pop list_stddev_samp
    list_string_agg list_sum list_transform list_unique list_value list_var_pop list_var_samp list_where list_zip map
    map_concat map_contains map_contains_entry map_contains_value map_entries map_extract map_extract_value
    map_from_entries map_keys map_values reduce row struct_concat struct_contains struct_extract struct_extract_at
    struct_has struct_indexof struct_insert struct_keys struct_pack struct_position struct_update struct_values
    union_extract union_tag union_value unnest unpivot_list
"""
_JSON = """
    array_to_json from_json from_json_strict json json_array json_array_length json_contains json_exists json_extract
    json_extract_path json_extract_path_text json_extract_string json_group_array json_group_object
    json_group_structure json_keys json_merge_patch json_object json_pretty json_quote json_structure json_transform
    json_transform_strict json_type json_valid json_value row_to_json to_json
"""
_AGGREGATES = """
    any_value approx_count_distinct approx_quantile approx_top_k arbitrary arg_max arg_max_null arg_max_nulls_last
    arg_min arg_min_null arg_min_nulls_last argmax argmin array_agg avg bit_and bit_or bit_xor bool_and bool_or corr
    count count_if count_star countif covar_pop covar_samp cume_dist dense_rank entropy equi_width_bins favg fill first
    first_value fsum geomean geometric_mean group_concat histogram histogram_exact is_histogram_other_bin kahan_sum
    kurtosis kurtosis_pop lag last last_value lead list listagg mad max max_by mean median min min_by mode nth_value
    ntile percent_rank product quantile quantile_cont quantile_disc rank rank_dense regr_avgx regr_avgy regr_count
    regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy reservoir_quantile row_number sem skewness stddev
    stddev_pop stddev_samp string_agg sum sum_no_overflow sumkahan var_pop var_samp variance wavg weighted_avg
"""
_OTHERS = "alias constant_or_null error get_bit set_bit bit_position bitstring typeof within grouping grouping_id"

FUNCTIONS = frozenset(" ".join((_OPERATORS, _NUMBERS, _TEXTS, _TIMES, _LISTS, _JSON, _AGGREGATES, _OTHERS)).split())
"""Names in lower case. Functions that make a long text or list from a number are missing: their memory is unlimited."""
TABLE_FUNCTIONS = frozenset({"range", "generate_series", "unnest", "json_each", "json_tree"})
"""Functions that may be called in FROM."""
_KINDS = frozenset(
    """
    BETWEEN CASE CAST COLLATE COLUMN_REF COMPARISON CONJUNCTION CONSTANT FUNCTION LAMBDA LAMBDA_REF OPERATOR
    POSITIONAL_REFERENCE STAR SUBQUERY WINDOW
    BASE_TABLE EMPTY EXPRESSION_LIST JOIN PIVOT TABLE_FUNCTION
    SELECT_NODE SET_OPERATION_NODE RECURSIVE_CTE_NODE CTE_NODE
    LIMIT_MODIFIER LIMIT_PERCENT_MODIFIER ORDER_MODIFIER DISTINCT_MODIFIER ASCENDING DESCENDING ORDER_DEFAULT
    ARRAY_TYPE_INFO DECIMAL_TYPE_INFO GENERIC_TYPE_INFO LIST_TYPE_INFO STRING_TYPE_INFO STRUCT_TYPE_INFO
    UNBOUND_TYPE_INFO
    """.split()  # noqa: SIM905 a list of words is read more easily
)
"""Allowed node types of DuckDB's tree: expressions, items of FROM, queries, their modifiers, data types."""
_COUNTING = frozenset({"range", "generate_series"})
_MOST_COUNTED = 10_000
_LIKE_A_FILE = re.compile(r"[./\\:*?\[\]\0]")
_WIDE = re.compile(r"\d{4}|\*|\{[^}]*\{")


def require_allowed(text: str, tables: Collection[str]) -> None:
    """Raise an error unless a query only reads tables and computes.

    Parameters
    ----------
    text
        The query in DuckDB's SQL, with the names of tables.
    tables
        Names of the tables that it may read, in lower case.

    Raises
    ------
    BadRequest
        DuckDB cannot parse the query, or the query does something that is not allowed, which the message names.
    TableNotFound
        The query names a file, or a table with a schema.
    """
    nodes = list(_nodes(_tree(text)))
    withs = {name.lower() for node in nodes for name in _names_of_with(node)}
    known = {*(name.lower() for name in tables), *withs}
    in_from = [node["function"] for node in nodes if node.get("type") == "TABLE_FUNCTION"]
    for node in in_from:
        _require_table_function(node)
    for node in nodes:
        kind = node.get("class") or node.get("type")
        if isinstance(kind, str) and kind not in _KINDS:
            raise BadRequest(
                f"a query may not contain {kind.lower().replace('_', ' ')} here: write one SELECT on tables"
            )
        if kind == "FUNCTION" and not any(node is one for one in in_from):
            _require_function(node)
        if kind == "LAMBDA":
            _require_no_counting(node)
        if kind == "BASE_TABLE":
            _require_table(node, known)


@functools.cache
def _parser() -> duckdb.DuckDBPyConnection:
    made = duckdb.connect()
    made.execute("SET enable_external_access = false; SET lock_configuration = true")
    return made


def _tree(text: str) -> Any:
    cursor = _parser().cursor()
    try:
        [[said]] = cursor.execute("SELECT json_serialize_sql(?::VARCHAR)", [text]).fetchall()
        tree = json.loads(said)
    except (duckdb.Error, RecursionError, UnicodeError) as error:
        raise BadRequest(f"DuckDB does not understand the query: {error}") from error
    finally:
        cursor.close()
    if tree["error"]:
        raise BadRequest(f"DuckDB does not understand the query: {tree['error_message']}")
    return tree["statements"]


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield all nodes, without recursion, because a query may be nested deeper than Python's stack."""
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            # The value of a constant is data, even if it looks like a node.
            waiting.extend(part for name, part in one.items() if one.get("class") != "CONSTANT" or name != "value")
            yield one
        elif isinstance(one, list):
            waiting.extend(one)


def _names_of_with(node: dict[str, Any]) -> list[str]:
    entries = node.get("cte_map", {}).get("map", [])
    names = [entry["key"] for entry in entries]
    for name in names:
        if _LIKE_A_FILE.search(name):
            raise BadRequest(f"WITH {name!r}: give it a name of letters, digits and _")
    return names


def _require_function(node: dict[str, Any]) -> None:
    name = node["function_name"].lower()
    if node["schema"] not in ("", "main") or node["catalog"] not in ("", "system"):
        raise BadRequest(f"a query may not call {node['schema']}.{name}: write the function without a schema")
    if name in _COUNTING:
        _require_few(node)
    elif name not in FUNCTIONS:
        raise BadRequest(
            f"a query may not call {name}: functions that open files, read information about the system, or make long "
            f"texts and lists are not allowed; {TRUST}"
        )
    if name in ("printf", "format"):
        _require_narrow(node)


def _require_few(node: dict[str, Any]) -> None:
    """Raise `BadRequest` if a call such as ``range(n)`` may return a long list: DuckDB does not limit its memory.

    In FROM the same function returns rows, and their number is limited.
    """
    written = [one.get("value", {}).get("value") for one in node["children"] if one["class"] == "CONSTANT"]
    numbers = [one for one in written if isinstance(one, int) and abs(one) <= _MOST_COUNTED]
    if len(numbers) < len(node["children"]):
        raise BadRequest(
            f"{node['function_name']}(...) that returns a list may have only literal numbers up to {_MOST_COUNTED} as "
            f"arguments; for larger numbers write FROM {node['function_name']}(...)"
        )


def _require_no_counting(node: dict[str, Any]) -> None:
    for one in _nodes(node):
        if one.get("function_name", "").lower() in _COUNTING | {"printf", "format"}:
            raise BadRequest(f"{one['function_name']} is not allowed in a lambda: write the list after FROM")


def _require_narrow(node: dict[str, Any]) -> None:
    """Raise `BadRequest` if a width in a format may have more than three digits: the text could be of any length."""
    pattern = node["children"][0] if node["children"] else {}
    written = pattern.get("value", {}).get("value") if pattern.get("class") == "CONSTANT" else None
    if not isinstance(written, str) or _WIDE.search(written):
        raise BadRequest(
            f"{node['function_name']}: write the format as a constant text, in which all widths are numbers below 1000"
        )


def _require_table_function(function: dict[str, Any]) -> None:
    name = function["function_name"].lower()
    if name not in TABLE_FUNCTIONS or function["schema"] or function["catalog"]:
        raise BadRequest(f"FROM {name}(...): a query can read tables by name, but no files; {TRUST}")


def _require_table(node: dict[str, Any], known: Collection[str]) -> None:
    name = ".".join(filter(None, (node["catalog_name"], node["schema_name"], node["table_name"])))
    if node["catalog_name"] or node["schema_name"] or node.get("at_clause"):
        raise TableNotFound(f'no table {name}: tables have no schema; a name with a dot is written "{name}", in quotes')
    if _LIKE_A_FILE.search(name) and name.lower() not in known:
        raise TableNotFound(f"no table {name!r}: a query can read tables by name, but no files; {TRUST}")
