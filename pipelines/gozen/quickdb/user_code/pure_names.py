"""Names of library functions whose results depend only on their arguments.

Every other function is assumed to depend on more: a file, the environment, a clock, random numbers. Before you add a
name, read its documentation and its code: a default such as ``method="bootstrap"`` may draw random numbers.
"""

from __future__ import annotations

from collections.abc import Mapping


def words(text: str) -> list[str]:
    """Return the words of a text."""
    return text.split()


BUILTINS = frozenset(
    words("""
    __build_class__ __debug__ __name__ Ellipsis NotImplemented abs all any ascii bool bytearray bytes callable chr
    classmethod complex dict divmod enumerate filter float int isinstance issubclass iter len list map max min next
    ord pow print property range repr reversed round slice sorted staticmethod str sum super tuple type zip
    ArithmeticError AssertionError AttributeError BaseException Exception FloatingPointError IndexError KeyError
    LookupError NotImplementedError OverflowError RuntimeError RuntimeWarning StopIteration TypeError UserWarning
    ValueError Warning ZeroDivisionError
""")
)
"""Without `set`, whose order depends on hashes, and without `getattr`, `vars` and `eval`, which can reach any name."""

_NUMPY = """
    False_ ScalarType True_ abs absolute acos acosh add all allclose amax amin angle any append apply_along_axis
    apply_over_axes arange arccos arccosh arcsin arcsinh arctan arctan2 arctanh argmax argmin argpartition argsort
    argwhere around array array_equal array_equiv array_split array_str asanyarray asarray asarray_chkfinite
    ascontiguousarray asfortranarray asin asinh astype atan atan2 atanh atleast_1d atleast_2d atleast_3d average
    bartlett base_repr binary_repr bincount bitwise_and bitwise_count bitwise_invert bitwise_left_shift bitwise_not
    bitwise_or bitwise_right_shift bitwise_xor blackman block bool bool_ broadcast broadcast_arrays broadcast_shapes
    broadcast_to byte bytes_ c_ can_cast cbrt cdouble ceil char character choose clip column_stack common_type
    complex128
    complex64 complexfloating compress concat concatenate conj conjugate convolve copy copysign copyto corrcoef
    correlate cos cosh count_nonzero cov cross csingle cumprod cumsum cumulative_prod cumulative_sum deg2rad degrees
    delete diag diag_indices diag_indices_from diagflat diagonal diff digitize divide divmod dot double dsplit
    dstack dtype e ediff1d einsum empty empty_like equal errstate euler_gamma exp exp2 expand_dims expm1 extract eye
    fabs fft fill_diagonal finfo fix flatiter flatnonzero flexible flip fliplr flipud float16 float32 float64
    float_power floating floor floor_divide fmax fmin fmod frexp frombuffer fromfunction fromiter frompyfunc full
    full_like gcd generic geomspace gradient greater greater_equal half hamming hanning heaviside histogram
    histogram2d histogram_bin_edges histogramdd hsplit hstack hypot i0 identity iinfo imag indices inexact inf inner
    insert int16 int32 int64 int8 int_ intc integer interp intersect1d intp invert isclose iscomplex iscomplexobj
    isdtype isfinite isin isinf isnan isneginf isposinf isreal isrealobj isscalar issubdtype iterable ix_ kaiser
    kron lcm ldexp left_shift less less_equal lexsort linalg linspace log log10 log1p log2 logaddexp logaddexp2
    logical_and logical_not logical_or logical_xor logspace long longdouble longlong ma mask_indices matmul
    matrix_transpose matvec max maximum mean median meshgrid mgrid min min_scalar_type minimum mod modf moveaxis
    multiply nan nan_to_num nanargmax nanargmin nancumprod nancumsum nanmax nanmean nanmedian nanmin nanpercentile
    nanprod nanquantile nanstd nansum nanvar ndarray ndenumerate ndim ndindex negative newaxis nextafter nonzero
    not_equal number object_ ogrid ones ones_like outer packbits pad partition percentile permute_dims pi piecewise
    place poly1d polyadd polyder polydiv polyfit polyint polymul polynomial polysub polyval positive pow power prod
    promote_types ptp put put_along_axis putmask quantile r_ rad2deg radians ravel ravel_multi_index real
    real_if_close reciprocal remainder repeat reshape resize result_type right_shift rint roll rollaxis roots rot90
    round s_ searchsorted select setdiff1d setxor1d shape short sign signbit signedinteger sin sinc single sinh size
    sort sort_complex spacing split sqrt square squeeze stack std str_ subtract sum swapaxes take take_along_axis
    tan tanh tensordot tile trace transpose trapezoid trapz tri tril tril_indices tril_indices_from trim_zeros triu
    triu_indices triu_indices_from true_divide trunc ubyte ufunc uint uint16 uint32 uint64 uint8 uintc uintp ulong
    ulonglong union1d unique unique_all unique_counts unique_inverse unique_values unpackbits unravel_index
    unsignedinteger unstack unwrap ushort vander var vdot vecdot vecmat vectorize void vsplit vstack where zeros
    zeros_like
"""
_MASKED = """
    MaskedArray abs add all allclose any append arange arctan2 argmax argmin argsort around array asarray average
    clip column_stack compressed concatenate cos count cov cumsum diff divide dot empty equal exp fabs filled
    fix_invalid floor getdata getmask getmaskarray greater greater_equal hstack hypot is_masked isin less less_equal
    log log10 logical_and logical_not logical_or mask_or masked masked_array masked_equal masked_greater
    masked_greater_equal masked_inside masked_invalid masked_less masked_less_equal masked_not_equal masked_outside
    masked_values masked_where max maximum mean median min minimum multiply nomask not_equal ones polyfit power prod
    ptp ravel round sin sort sqrt stack std subtract sum take tan unique var vstack where zeros
"""
MODULES: Mapping[str, str] = {
    "numpy": _NUMPY,
    "numpy.ma": _MASKED,
    "numpy.char": """
        add capitalize count endswith equal find isalpha isdigit isnumeric join lower lstrip multiply not_equal
        partition replace rfind rstrip split startswith str_len strip title upper zfill
    """,
    "numpy.lib.stride_tricks": "sliding_window_view",
    "numpy.linalg": """
        LinAlgError cholesky cond cross det diagonal eig eigh eigvals eigvalsh inv lstsq matmul matrix_norm
        matrix_power matrix_rank matrix_transpose multi_dot norm outer pinv qr slogdet solve svd svdvals tensordot
        tensorinv tensorsolve trace vecdot vector_norm
    """,
    "numpy.fft": """
        fft fft2 fftfreq fftn fftshift hfft ifft ifft2 ifftn ifftshift ihfft irfft irfft2 irfftn rfft rfft2 rfftfreq
        rfftn
    """,
    "numpy.polynomial": "chebyshev legendre polynomial",
    "numpy.polynomial.chebyshev": "chebfit chebval chebval2d chebvander chebvander2d chebder chebint chebroots",
    "numpy.polynomial.legendre": "legfit legval legval2d legvander legvander2d legder legint legroots",
    "numpy.polynomial.polynomial": """
        polyadd polyder polydiv polyfit polyint polymul polyroots polysub polyval polyval2d polyvander polyvander2d
    """,
    "math": """
        acos acosh asin asinh atan atan2 atanh cbrt ceil comb copysign cos cosh degrees dist e erf erfc exp exp2
        expm1 fabs factorial floor fma fmod frexp fsum gamma gcd hypot inf isclose isfinite isinf isnan isqrt lcm
        ldexp lgamma log log10 log1p log2 modf nan nextafter perm pi pow prod radians remainder sin sinh sqrt
        sumprod tan tanh tau trunc ulp
    """,
    "cmath": """
        acos acosh asin asinh atan atanh cos cosh e exp inf isclose isfinite isinf isnan log log10 nan phase pi
        polar rect sin sinh sqrt tan tanh tau
    """,
    "itertools": """
        accumulate batched chain combinations combinations_with_replacement compress count cycle dropwhile
        filterfalse groupby islice pairwise permutations product repeat starmap takewhile tee zip_longest
    """,
    "functools": "cache cached_property cmp_to_key lru_cache partial reduce wraps",
    "operator": """
        abs add and_ concat contains countOf eq floordiv ge getitem gt iadd iand imul index indexOf invert ior isub
        itemgetter le lshift lt matmul mod mul ne neg not_ or_ pos pow rshift sub truediv truth xor
    """,
    "collections": "Counter OrderedDict defaultdict deque namedtuple",
    "bisect": "bisect bisect_left bisect_right insort insort_left insort_right",
    "heapq": "heapify heappop heappush heappushpop heapreplace merge nlargest nsmallest",
    "statistics": """
        correlation covariance fmean geometric_mean harmonic_mean linear_regression mean median median_grouped
        median_high median_low mode multimode pstdev pvariance quantiles stdev variance
    """,
    "fractions": "Fraction",
    "re": "compile escape findall finditer fullmatch match search split sub subn",
    "copy": "copy deepcopy",
    "dataclasses": "asdict astuple dataclass field replace",
    "contextlib": "nullcontext suppress",
    "typing": "Any NamedTuple cast",
    "warnings": "catch_warnings filterwarnings simplefilter warn",
    "scipy": "integrate interpolate ndimage optimize signal spatial special stats",
    "scipy.integrate": "cumulative_trapezoid quad simpson trapezoid",
    "scipy.interpolate": "Akima1DInterpolator BSpline CubicSpline PchipInterpolator UnivariateSpline interp1d",
    "scipy.ndimage": """
        binary_dilation binary_erosion center_of_mass convolve gaussian_filter label maximum_filter mean
        median_filter minimum_filter sum_labels uniform_filter
    """,
    "scipy.optimize": "brentq curve_fit least_squares leastsq minimize minimize_scalar nnls root_scalar",
    "scipy.signal": "detrend find_peaks lombscargle medfilt savgol_filter",
    "scipy.spatial": "KDTree cKDTree",
    "scipy.special": """
        beta betainc betaln erf erfc erfinv expit gamma gammainc gammaincc gammaln j0 j1 jv logit logsumexp ndtr
        ndtri psi wofz
    """,
    "scipy.stats": """
        binned_statistic binned_statistic_2d iqr ks_2samp kurtosis linregress median_abs_deviation pearsonr rankdata
    sigmaclip skew
        spearmanr theilslopes trim_mean zscore
    """,
    "astropy": "stats timeseries",
    "astropy.stats": """
        biweight_location biweight_scale mad_std median_absolute_deviation sigma_clip sigma_clipped_stats
    """,
    "astropy.timeseries": "LombScargle",
    "fast_histogram": "histogram1d histogram2d histogramdd",
    "pyarrow": """
        array bool_ dictionary field float32 float64 int16 int32 int64 int8 large_string list_ schema string
        struct table uint16 uint32 uint64 uint8
    """,
    "gozen.quickdb": "Box Cone Polygon",
    "gozen.quickdb.patches.region": "Box Cone Polygon",
}

ATTRIBUTES = frozenset(
    words("""
    T all any argmax argmin argpartition argsort astype byteswap choose clip compress conj conjugate copy
    cumprod cumsum data diagonal dot dtype fill flat flatten imag item itemsize mT max mean min nbytes ndim
    nonzero partition prod ptp put ravel real repeat reshape resize round searchsorted shape size sort squeeze
    std strides sum swapaxes take tobytes tolist trace transpose var view mask filled compressed fill_value
    count anom names fields kind char num type name descr str byteorder newbyteorder eps tiny bits resolution
    smallest_normal precision reduce accumulate reduceat outer at nin nout identity c coef coeffs order roots
    deriv integ iter nd coords append extend insert remove pop clear index reverse get update setdefault popitem
    values items keys fromkeys add discard issubset issuperset isdisjoint intersection_update difference_update
    symmetric_difference_update appendleft extendleft popleft rotate maxlen most_common elements subtract total
    move_to_end default_factory _asdict _replace _make _fields capitalize casefold center encode endswith
    expandtabs find isalnum isalpha isascii isdecimal isdigit isidentifier islower isnumeric isspace istitle
    isupper join ljust lower lstrip maketrans removeprefix removesuffix replace rfind rindex rjust rpartition
    rsplit rstrip split splitlines startswith strip swapcase title translate upper zfill decode hex fromhex
    bit_length bit_count to_bytes from_bytes as_integer_ratio numerator denominator is_integer start stop step
    send args func keywords setter getter deleter match search fullmatch sub subn findall finditer group groups
    groupdict end span pattern string groupindex autofrequency autopower power model query query_ball_point
    query_ball_tree query_pairs count_neighbors sparse_distance_matrix statistic correlation fun success root pvalue
    slope intercept rvalue stderr x y id healpix
    field region margin within ra dec radius corners contains ranges __class__ __name__ __qualname__ __init__
    __post_init__ __len__
""")
)
"""Attributes allowed on a number, text, list, dict, array, pattern, patch, region or exception."""

KINDS = words("""
    ndarray float64 dtype ufunc MaskedArray str bytes int float complex list tuple dict set range slice type
    property object BaseException memoryview FunctionType MethodType BuiltinFunctionType GeneratorType CoroutineType
    ModuleType CodeType FrameType TracebackType partial deque Counter Pattern Match
""")
"""Types of values that every function can make."""
