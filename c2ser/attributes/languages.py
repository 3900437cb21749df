"""Codes of languages: ISO 639-1 and 639-3 with or without a region, and eSpeak's voices for them."""

from collections.abc import Collection

SHORT = {
    long: names.split()[0]
    for names in (
        "af afr,am amh,an arg,ar ara arb,as asm,az aze azj,ba bak,be bel,bg bul,bn ben,bs bos,ca cat,cs ces cze,cv chv,"
        "cy cym wel,da dan,de deu ger,el ell gre,en eng,eo epo,es spa,et est ekk,eu eus baq,fa fas per pes,fi fin,"
        "fo fao,fr fra fre,ga gle,gd gla,gn grn,gu guj,he heb iw,hi hin,hr hrv,ht hat,hu hun,hy hye arm,ia ina,"
        "id ind in,io ido,is isl ice,it ita,ja jpn,ka kat geo,kk kaz,kl kal,kn kan,ko kor,ku kur,ky kir,la lat,lb ltz,"
        "lt lit,lv lav lvs,mi mri mao,mk mkd mac,ml mal,mr mar,ms msa may zsm,mt mlt,my mya bur,nb nob,ne nep npi,"
        "nl nld dut,nn nno,no nor,om orm,or ori ory,pa pan,pl pol,pt por,qu que quz,ro ron rum mo,ru rus,sd snd,si sin,"
        "sk slk slo,sl slv,sq sqi alb als,sr srp,sv swe,sw swa swh,ta tam,te tel,th tha,ti tir,tk tuk,tn tsn,tr tur,"
        "tt tat,ug uig,uk ukr,ur urd,uz uzb uzn,vi vie,zh zho chi cmn"
    ).split(",")
    for long in names.split()[1:]
}
"""ISO 639-1 code by the codes of ISO 639-2 and 639-3 and by withdrawn ones."""

VOICES = {
    "en": "en-us", "es": "es-419", "es-es": "es", "fr": "fr-fr", "no": "nb", "nn": "nb", "pt-pt": "pt",
    "chr": "chr-us-qaaa-x-west",
}  # fmt: skip
"""eSpeak's voices that are not called by the language's code."""


def plain_code(language: str) -> str:
    """Return a language's code as `de` or `de-at`: lower case, the language in two letters where it has them."""
    first, *rest = language.strip().lower().replace("_", "-").split("-")
    return "-".join([SHORT.get(first, first), *rest])


def espeak_voice(language: str, voices: Collection[str]) -> str | None:
    """Return the voice of a language, the nearest one where its region has none; None where eSpeak does not know it.

    Args:
        language: the code.
        voices: the voices that there are.
    """
    named = {voice.lower(): voice for voice in voices}
    for code in (language.strip().lower().replace("_", "-"), plain_code(language)):
        while code:
            if (voice := named.get(VOICES.get(code, code))) is not None:
                return voice
            code = code.rpartition("-")[0]
    return None
