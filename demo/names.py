"""Names as marketers give them: with commas, pipes, quotes, line breaks, emoji and Devanagari."""

from __future__ import annotations

from collections.abc import Sequence

META_CAMPAIGNS = (
    "TOF | 80K, LUXE | IGi",
    "MOF | Retargeting – 30d, ATC",
    'BOF | "Last chance" | DPA',
    "दिवाली सेल | TOF",
    "Rakhi 🎁 Gifting, Tier-1",
    "ASC+ | Broad | ₹999 & under",
    "Solitaire, 1ct+ | LAL 2%",
    "TOF | Reels 🔥 | 25-44",
    "Wedding Edit ’25 | Video, 15s",
    "Brand lift / awareness",
    "नया साल | Catalogue, सोना",
    "Influencer\nwhitelisting | Q3",
)
AD_SETS = (
    "Metro, F 25-44",
    "Tier-2 | Interest: jewellery",
    'Lookalike "buyers 180d"',
    "Advantage+ audience",
    "महिला 30+ | दिल्ली, मुंबई",
    "Retarget – VC 14d",
    "IG only, Stories",
    "Engaged 💍 shoppers",
    "Exclusions: buyers, staff",
    "Dynamic | all placements",
)
ADS = (
    "IMG_0412 | pendant, gold",
    'Reel – "How it\'s made"',
    "Carousel 5 cards ✨",
    "UGC | Priya, 22s",
    "Static – ₹ off, v2",
    "विज्ञापन ३ | अंगूठी",
)
DELIVERIES = ("active", "inactive", "not_delivering", "archived")

GOOGLE_CAMPAIGNS = (
    "Search - Brand",
    "Search - Non brand, rings",
    "PMax | All products",
    'Shopping "Best sellers"',
    "YouTube – Diwali 🪔",
    "Display | Remarketing, 30d",
    "खोज - सोने की अंगूठी",
    "Demand Gen | Video, 6s",
)
GOOGLE_STATUSES = ("Enabled", "Enabled", "Enabled", "Paused", "Removed")

UTM_CAMPAIGNS = (
    "TOF | 80K, LUXE | IGi",
    "Search - Brand",
    "दिवाली सेल | TOF",
    "Rakhi 🎁 Gifting, Tier-1",
    'BOF | "Last chance" | DPA',
    "newsletter_2025_w36",
    "whatsapp+broadcast",
    "PMax | All products",
    "affiliate/cashkaro",
    "(not set)",
    "(direct)",
)
UTM_TERMS = (
    "",
    "gold ring",
    "mangalsutra, 18k",
    "सोने की चेन",
    "{keyword}",
    "solitaire 1ct",
    "gift for wife",
    "9-14 broad",
)
UTM_CONTENTS = ("", "IMG_0412", "story link", "carousel 2, card 3", "reel – v2", "हेडर बैनर", "bio")
PAGES = (
    "/",
    "/products/solitaire-ring-1ct",
    "/collections/diwali-edit?sort_by=best-selling",
    "/collections/under-999?utm_source=fb&utm_medium=paid",
    "/products/%E0%A4%85%E0%A4%82%E0%A4%97%E0%A5%82%E0%A4%A0%E0%A5%80",
    "/pages/store-locator",
    "/blogs/journal/how-to-choose, a guide",
)


def enough(names: Sequence[str], count: int) -> list[str]:
    """At least `count` different names: the given ones, then numbered ones made from them."""
    numbered = (f"{names[n % len(names)]} #{n // len(names) + 1}".lstrip() for n in range(len(names), count))
    return [*names, *numbered]
