"""Codes of MARC 21 and RDA, as far as the tables need them."""

# 008/15-17 by the place in the imprint, or by the country of a film.
COUNTRIES = {
    "cau": "San Francisco;Berkeley;Los Angeles",
    "ctu": "Hartford",
    "dcu": "Washington",
    "ilu": "Chicago",
    "mau": "Boston;Amherst, Mass.",
    "mou": "Sedalia, Mo.",
    "nju": "Camden, N.J.",
    "nyu": "New York;Brooklyn, New York;Ithaca, N.Y.",
    "ohu": "Xenia, Ohio",
    "pau": "Philadelphia",
    "txu": "El Paso, Texas",
    "xxu": "United States",
    "enk": "London;Oxford;Cambridge;Westminster;Bristol;Richmond",
    "stk": "Edinburgh",
    "ie ": "Dublin",
    "fr ": "Paris;Paryż;Bordeaux;France",
    "be ": "Bruxelles",
    "gw ": "Leipzig;Berlin;Hamburg;Tübingen;Bamberg;Gotha;Stuttgart;Braunschweig;Frankfurt;Nuremberg;Mainz;Germany",
    "lv ": "Riga",
    "au ": "Wien",
    "sz ": "Genève;Basel",
    "it ": "Roma;Milano;Firenze;Bologna;Venezia",
    "sp ": "Madrid;Barcelona;Valencia;Burgos;Sevilla;Zamora",
    "po ": "Lisboa",
    "ne ": "Amsterdam;Leyde",
    "dk ": "København",
    "sw ": "Stockholm",
    "fi ": "Helsinki",
    "pl ": "Warszawa",
    "xr ": "Praha",
    "hu ": "Budapest",
    "ru ": "Moskva;Sanktpeterburg;Soviet Union",
    "ja ": "Tōkyō",
    "cc ": "Beijing;Hong Kong",
    "mx ": "México",
    "cl ": "Santiago;Valparaíso",
    "ag ": "Buenos Aires",
    "uy ": "Montevideo",
    "pe ": "Lima",
    "ck ": "Bogotá",
    "bl ": "Rio de Janeiro",
}
COUNTRY_OF_PLACE = {place: code for code, places in COUNTRIES.items() for place in places.split(";")}

LANGUAGES = {
    "ara": "Arabic",
    "chi": "Chinese",
    "cze": "Czech",
    "dan": "Danish",
    "dut": "Dutch",
    "eng": "English",
    "enm": "Middle English",
    "fin": "Finnish",
    "fre": "French",
    "ger": "German",
    "grc": "Greek",
    "hun": "Hungarian",
    "ita": "Italian",
    "jpn": "Japanese",
    "lat": "Latin",
    "nor": "Norwegian",
    "per": "Persian",
    "pol": "Polish",
    "por": "Portuguese",
    "rus": "Russian",
    "san": "Sanskrit",
    "spa": "Spanish",
    "swe": "Swedish",
    "zxx": "No linguistic content",
}

# Leading articles, for the second indicator of 245.
ARTICLES = {
    "eng": "A An The",
    "fre": "La Le Les L' Un Une",
    "ger": "Das Der Die Ein Eine",
    "spa": "El La Las Los Un Una",
    "ita": "Gli I Il L' La Le Lo Un Una",
    "por": "A As O Os",
    "dan": "Den Det En Et",
    "dut": "De Het",
    "swe": "En Ett",
    "hun": "A Az",
}

# The column `form` is 008/33; the novels, poems, plays and stories also get a genre heading.
GENRES = {"f": "Novels", "p": "Poetry", "d": "Drama", "j": "Short stories", "e": "Essays"}

# kind: leader/06-07, material type of its items (952 $y), a price to start from, content, media, carrier.
KINDS = {
    "text": ("am", "book", 24, ("text", "txt"), ("unmediated", "n"), ("volume", "nc")),
    "serial": ("as", "periodical", 60, ("text", "txt"), ("unmediated", "n"), ("volume", "nc")),
    "score": ("cm", "score", 28, ("notated music", "ntm"), ("unmediated", "n"), ("volume", "nc")),
    "recording": ("jm", "recording", 35, ("performed music", "prm"), ("audio", "s"), ("audio disc", "sd")),
    "film": ("gm", "dvd", 19, ("two-dimensional moving image", "tdi"), ("video", "v"), ("videodisc", "vd")),
}

# 880 $6: the script, by the first letter that is not Latin.
SCRIPTS = ((0x0370, 0x03FF, "(S"), (0x1F00, 0x1FFF, "(S"), (0x0400, 0x052F, "(N"), (0x2E80, 0x9FFF, "$1"))
