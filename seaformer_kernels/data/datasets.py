"""Data sets that checkpoints are trained on: classes, colours, ignored label, normalisation."""

from __future__ import annotations

from dataclasses import dataclass

# Of R, G and B in the range 0..255: what SeaFormer's recipes subtract and divide by everywhere.
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)

Color = tuple[int, int, int]  # red, green and blue, 0..255


@dataclass(frozen=True)
class Dataset:
    """Facts of a data set for segmentation.

    Attributes:
        name: the key in `DATASETS`.
        classes: names, in the order of the labels.
        colors: of the classes.
        ignore_label: label of pixels that count for nothing in training and evaluation.
        mean, std: of R, G and B in the range 0..255, for `optimize`.
    """

    name: str
    classes: tuple[str, ...]
    colors: tuple[Color, ...]
    ignore_label: int = 255
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD


def _names(text: str) -> tuple[str, ...]:
    return tuple(" ".join(name.split()) for name in text.split(","))


def _rgb(text: str) -> tuple[Color, ...]:
    """Colours written as RRGGBB."""
    red, green, blue = (slice(i, i + 2) for i in (0, 2, 4))
    return tuple((int(c[red], 16), int(c[green], 16), int(c[blue], 16)) for c in text.split())


def voc_colors(count: int) -> tuple[Color, ...]:
    """Pascal VOC's colours: the bits of a label, dealt to R, G and B from the highest bit down."""

    def channel(label: int, first: int) -> int:
        return sum((label >> (3 * i + first) & 1) << (7 - i) for i in range(3))

    return tuple((channel(i, 0), channel(i, 1), channel(i, 2)) for i in range(count))


def object_colors(count: int) -> tuple[Color, ...]:
    """The same for classes of objects, without the first, black, which is the background's."""
    return voc_colors(count + 1)[1:]


# One pair of classes, road and skyscraper, is published with the same colour.
ADE20K = Dataset(
    "ade20k",
    _names("""
    wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet,
    sidewalk, person, earth, door, table, mountain, plant, curtain, chair, car, water,
    painting, sofa, shelf, house, sea, mirror, rug, field, armchair, seat, fence, desk, rock,
    wardrobe, lamp, bathtub, railing, cushion, base, box, column, signboard, chest of drawers,
    counter, sand, sink, skyscraper, fireplace, refrigerator, grandstand, path, stairs,
    runway, case, pool table, pillow, screen door, stairway, river, bridge, bookcase, blind,
    coffee table, toilet, flower, book, hill, bench, countertop, stove, palm, kitchen island,
    computer, swivel chair, boat, bar, arcade machine, hovel, bus, towel, light, truck, tower,
    chandelier, awning, streetlight, booth, television receiver, airplane, dirt track,
    apparel, pole, land, bannister, escalator, ottoman, bottle, buffet, poster, stage, van,
    ship, fountain, conveyer belt, canopy, washer, plaything, swimming pool, stool, barrel,
    basket, waterfall, tent, bag, minibike, cradle, oven, ball, food, step, tank, trade name,
    microwave, pot, animal, bicycle, lake, dishwasher, screen, blanket, sculpture, hood,
    sconce, vase, traffic light, tray, ashcan, fan, pier, crt screen, plate, monitor, bulletin
    board, shower, radiator, glass, clock, flag
    """),
    _rgb("""
    787878 b47878 06e6e6 503232 04c803 787850 8c8c8c cc05ff e6e6e6 04fa07 e005ff ebff07
    96053d 787846 08ff33 ff0652 8fff8c ccff04 ff3307 cc4603 0066c8 3de6fa ff0633 0b66ff
    ff0747 ff09e0 0907e6 dcdcdc ff095c 7009ff 08ffd6 07ffe0 ffb806 0aff47 ff290a 07ffff
    e0ff08 6608ff ff3d06 ffc207 ff7a08 00ff14 ff0829 ff0599 0633ff eb0cff a09614 00a3ff
    8c8c8c fa0a0f 14ff00 1fff00 ff1f00 ffe000 99ff00 0000ff ff4700 00ebff 00adff 1f00ff
    0bc8c8 ff5200 00fff5 003dff 00ff70 00ff85 ff0000 ffa300 ff6600 c2ff00 008fff 33ff00
    0052ff 00ff29 00ffad 0a00ff adff00 00ff99 ff5c00 ff00ff ff00f5 ff0066 ffad00 ff0014
    ffb8b8 001fff 00ff3d 0047ff ff00cc 00ffc2 00ff52 000aff 0070ff 3300ff 00c2ff 007aff
    00ffa3 ff9900 00ff0a ff7000 8fff00 5200ff a3ff00 ffeb00 08b8aa 8500ff 00ff5c b800ff
    ff001f 00b8ff 00d6ff ff0070 5cff00 00e0ff 70e0ff 46b8a0 a300ff 9900ff 47ff00 ff00a3
    ffcc00 ff008f 00ffeb 85ff00 ff00eb f500ff ff007a fff500 0abed4 d6ff00 00ccff 1400ff
    ffff00 0099ff 0029ff 00ffcc 2900ff 29ff00 ad00ff 00f5ff 4700ff 7a00ff 00ffb8 005cff
    b8ff00 0085ff ffd600 19c2c2 66ff00 5c00ff
    """),
)

CITYSCAPES = Dataset(
    "cityscapes",
    _names("""
    road, sidewalk, building, wall, fence, pole, traffic light, traffic sign, vegetation,
    terrain, sky, person, rider, car, truck, bus, train, motorcycle, bicycle
    """),
    _rgb("""
    804080 f423e8 464646 66669c be9999 999999 faaa1e dcdc00 6b8e23 98fb98 4682b4 dc143c
    ff0000 00008e 000046 003c64 005064 0000e6 770b20
    """),
)

# Eleven classes, as SegNet joined the 32.
CAMVID = Dataset(
    "camvid",
    _names("""
    sky, building, pole, road, pavement, tree, sign symbol, fence, car, pedestrian, bicyclist
    """),
    _rgb("""
    808080 800000 c0c080 804080 3c28de 808000 c08080 404080 400080 404000 0080c0
    """),
)

# The data sets from here on have no colours of their own.
PEOPLE = Dataset(
    "people",
    _names("background, hair, skin, upper, one-piece, lower, shoes, accessory"),
    voc_colors(8),
)

PASCAL_CONTEXT_60 = Dataset(
    "pascal_context_60",
    _names("""
    background, aeroplane, bag, bed, bedclothes, bench, bicycle, bird, boat, book, bottle,
    building, bus, cabinet, car, cat, ceiling, chair, cloth, computer, cow, cup, curtain, dog,
    door, fence, floor, flower, food, grass, ground, horse, keyboard, light, motorbike, mountain,
    mouse, person, plate, platform, pottedplant, road, rock, sheep, shelves, sidewalk, sign, sky,
    snow, sofa, table, track, train, tree, truck, tvmonitor, wall, water, window, wood
    """),
    voc_colors(60),
)

PASCAL_CONTEXT_59 = Dataset(
    "pascal_context_59", PASCAL_CONTEXT_60.classes[1:], PASCAL_CONTEXT_60.colors[1:]
)

# 80 things, then 91 kinds of stuff.
COCO_STUFF = Dataset(
    "coco_stuff",
    _names("""
    person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire
    hydrant, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear,
    zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, sports
    ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, wine
    glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot
    dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop,
    mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book,
    clock, vase, scissors, teddy bear, hair drier, toothbrush,
    banner, blanket, branch, bridge, building-other, bush, cabinet, cage, cardboard, carpet,
    ceiling-other, ceiling-tile, cloth, clothes, clouds, counter, cupboard, curtain, desk-stuff,
    dirt, door-stuff, fence, floor-marble, floor-other, floor-stone, floor-tile, floor-wood,
    flower, fog, food-other, fruit, furniture-other, grass, gravel, ground-other, hill, house,
    leaves, light, mat, metal, mirror-stuff, moss, mountain, mud, napkin, net, paper, pavement,
    pillow, plant-other, plastic, platform, playingfield, railing, railroad, river, road, rock,
    roof, rug, salad, sand, sea, shelf, sky-other, skyscraper, snow, solid-other, stairs, stone,
    straw, structural-other, table, tent, textile-other, towel, tree, vegetable, wall-brick,
    wall-concrete, wall-other, wall-panel, wall-stone, wall-tile, wall-wood, water-other,
    waterdrops, window-blind, window-other, wood
    """),
    voc_colors(171),
)

DATASETS = {
    dataset.name: dataset
    for dataset in (
        ADE20K, CITYSCAPES, CAMVID, PEOPLE, PASCAL_CONTEXT_59, PASCAL_CONTEXT_60, COCO_STUFF
    )
}  # fmt: skip
