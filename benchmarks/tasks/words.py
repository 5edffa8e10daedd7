"""English to draw, to speak and to compare: words, sentences and graded pairs, written for this purpose.

Two halves that share no sentence and no word list: one to calibrate on, one to evaluate on.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Triple:
    """A sentence, one that says the same in other words, and one on the same subject that does not."""

    sentence: str
    paraphrase: str
    related: str


_CALIBRATION_TEXT = """
account address advice afternoon airport answer apple article autumn balance basket beach
bicycle blanket border bottle branch bridge bucket button camera candle carpet castle ceiling
chapter cheese circle citizen climate college comfort copper corner cotton courage cousin credit
culture curtain damage danger degree desert detail diamond dinner doctor dragon drawer eagle
effort engine evening failure family farmer fashion feather fiction finger flavour forest
fortune freedom friend garage garden gender ginger glacier govern grammar guitar hammer harbour
hazard height history holiday honest hotel hunger island jacket journal justice kettle kitchen
ladder language lawyer leather lemon letter liberty library liquid lizard luggage machine magnet
manager marble market meadow member method minute mirror mixture moment monkey morning motion
museum mystery
"""

_EVALUATION_TEXT = """
narrow nation needle network notice novel number object ocean office onion orange orchard
outline package painter palace paper parcel parent pattern pencil pepper person phrase picture
pigeon planet plastic pocket poetry police potato powder prayer present priest prince prison
profit promise purple puzzle quality quarter question quiet rabbit radio railway random receipt
record region remedy report rescue result ribbon river rocket ruler saddle sailor salary sample
saturday scarlet scheme science season second secret senate shadow shelter shoulder signal
silver sketch soldier spider spirit square stadium station stomach storage stranger student
subject summer supper surface symbol system tailor target temple theory thunder ticket timber
tobacco tongue tourist traffic triangle tunnel uniform universe valley vehicle velvet village
violin visitor volume voyage wagon walnut weather weekend whisper window winter wisdom witness
wonder yellow zebra
"""

CALIBRATION_WORDS = tuple(_CALIBRATION_TEXT.split())
EVALUATION_WORDS = tuple(_EVALUATION_TEXT.split())

CALIBRATION = (
    Triple(
        "The train to the coast leaves every hour from platform four.",
        "Once an hour a train departs from the fourth platform for the seaside.",
        "Tickets for the ferry are sold at the harbour office.",
    ),
    Triple(
        "She planted tomatoes and beans behind the old barn.",
        "Behind the barn she put in beans and tomato plants.",
        "The farmer sold his cows before the winter came.",
    ),
    Triple(
        "The court decided that the contract was void.",
        "Judges ruled the agreement had no legal force.",
        "Lawyers spent two days reading the evidence.",
    ),
    Triple(
        "My laptop becomes very hot when I compile large programs.",
        "Building big software projects makes my notebook computer overheat.",
        "He bought a new keyboard for his desk at work.",
    ),
    Triple(
        "The glacier has lost a third of its ice in thirty years.",
        "In three decades one third of the ice of that glacier has melted.",
        "Snow fell on the mountain road during the night.",
    ),
    Triple(
        "A small dog barked at the postman.",
        "The mail carrier was barked at by a little dog.",
        "Our cat sleeps on the warm roof of the car.",
    ),
    Triple(
        "The recipe needs two eggs, a cup of flour and some butter.",
        "You need flour, butter and a pair of eggs for this dish.",
        "The restaurant on the corner is closed on Mondays.",
    ),
    Triple(
        "Doctors advise drinking more water in hot weather.",
        "Physicians recommend that people drink plenty of water when it is hot.",
        "The hospital opened a new ward for children.",
    ),
    Triple(
        "The orchestra played the symphony without a conductor.",
        "With nobody conducting, the musicians performed the symphony.",
        "He learned to play the violin when he was six.",
    ),
    Triple(
        "The bank raised its interest rate by half a percent.",
        "Interest at the bank went up by fifty basis points.",
        "Few people pay their bills in cash today.",
    ),
    Triple(
        "Astronomers found water vapour around a distant planet.",
        "Water in the atmosphere of a far away world was detected by astronomers.",
        "The telescope was carried to the top of the volcano.",
    ),
    Triple(
        "The goalkeeper stopped the penalty in the last minute.",
        "A penalty in the final minute was saved by the keeper.",
        "Tickets for the match were sold out in an hour.",
    ),
    Triple(
        "The museum will stay open late on the first Friday of each month.",
        "On every month's first Friday the museum closes later than usual.",
        "A painter from Spain showed her pictures in the gallery.",
    ),
    Triple(
        "The old bridge was replaced because its steel had rusted.",
        "Rust in the steel was the reason for building a new bridge in place of the old one.",
        "Workers painted the railings of the tower green.",
    ),
    Triple(
        "Children learn a second language more easily than adults.",
        "It is easier for kids than for grown-ups to pick up another language.",
        "The school hired three new teachers of mathematics.",
    ),
    Triple(
        "The printer is out of paper again.",
        "There is no paper left in the printer.",
        "Please sign both copies of the form.",
    ),
)

EVALUATION = (
    Triple(
        "A man is slicing an onion in the kitchen.",
        "In the kitchen someone cuts up an onion.",
        "A woman is washing the dishes after lunch.",
    ),
    Triple(
        "The plane landed safely despite the storm.",
        "Although there was a storm, the aircraft touched down without trouble.",
        "Passengers waited at the gate for three hours.",
    ),
    Triple(
        "Scientists have mapped the brain of a fruit fly.",
        "The nerve cells in a fruit fly's brain were charted by researchers.",
        "Bees find their way home by the position of the sun.",
    ),
    Triple(
        "How do I reset the password of my account?",
        "What must I do to get a new password when I forgot the old one?",
        "Where can I change the language of this website?",
    ),
    Triple(
        "The company lost a million dollars last quarter.",
        "In the past three months the firm made a loss of one million dollars.",
        "Its shares are traded in London and New York.",
    ),
    Triple(
        "Heavy rain flooded the cellar of the town hall.",
        "The basement of the city hall filled with water after the downpour.",
        "The mayor opened the new playground on Sunday.",
    ),
    Triple(
        "The violinist broke a string during the concert.",
        "A string of her violin snapped while she was performing.",
        "The choir rehearses in the church on Tuesdays.",
    ),
    Triple(
        "The battery of this phone lasts two days.",
        "You can use this phone for two days without charging it.",
        "The screen broke when the telephone fell on the floor.",
    ),
    Triple(
        "Wolves returned to the forest after a hundred years.",
        "After a century there are wolves in these woods once more.",
        "Hunters may not shoot deer before September.",
    ),
    Triple(
        "The teacher praised the girl for her essay.",
        "For what she had written the girl was commended by her teacher.",
        "Pupils must hand in their homework by noon.",
    ),
    Triple(
        "The medicine should be taken with food.",
        "Take this drug together with a meal.",
        "The pharmacy next door is open all night.",
    ),
    Triple(
        "Two boys are playing football in the park.",
        "A pair of kids kick a ball around in the park.",
        "An old woman is feeding the ducks at the pond.",
    ),
    Triple(
        "The government will lower taxes on small businesses.",
        "Little firms are going to pay less tax, the government said.",
        "Parliament votes on the budget in the autumn.",
    ),
    Triple(
        "The volcano erupted and covered the village in ash.",
        "Ash from the eruption buried the village.",
        "An earthquake shook the capital in the morning.",
    ),
    Triple(
        "He forgot his umbrella on the bus.",
        "His umbrella was left behind on the bus.",
        "The driver asked everyone to move to the back.",
    ),
    Triple(
        "The software update fixes a serious security hole.",
        "A dangerous vulnerability is closed by the new version of the program.",
        "The developers moved the project to another repository.",
    ),
    Triple(
        "The baby slept through the whole flight.",
        "During the entire flight the infant was asleep.",
        "Flights to the islands are cheaper in winter.",
    ),
    Triple(
        "This bread contains nuts and sesame.",
        "There are sesame seeds and nuts in this bread.",
        "The baker gets up at three in the morning.",
    ),
    Triple(
        "The painter used only shades of blue.",
        "Nothing but blue tones was used by the artist.",
        "The frame was carved from a single piece of oak.",
    ),
    Triple(
        "The river is too shallow for large ships.",
        "Big vessels cannot sail on the river because the water is not deep enough.",
        "Fishermen mend their nets on the shore.",
    ),
    Triple(
        "Inflation fell to two percent in May.",
        "In May prices rose by only two percent.",
        "The central bank moved to a new building.",
    ),
    Triple(
        "The detective found the key under the carpet.",
        "Under the rug the investigator discovered the key.",
        "The thief climbed through the window at night.",
    ),
    Triple(
        "Solar panels on the roof heat the water of the pool.",
        "The swimming pool is warmed by solar collectors on the roof.",
        "The wind farm supplies power to ten thousand homes.",
    ),
    Triple(
        "The king signed the treaty in the spring of 1648.",
        "In spring 1648 the treaty was signed by the monarch.",
        "The castle was built by his grandfather.",
    ),
    Triple(
        "I would like a table for four at eight o'clock.",
        "Could you reserve seats for four people at eight tonight?",
        "The soup of the day is made of pumpkin.",
    ),
    Triple(
        "The runner won the marathon in just over two hours.",
        "It took the winner a little more than two hours to finish the marathon.",
        "Swimmers train every morning before school.",
    ),
    Triple(
        "The mathematician proved the theorem with a computer.",
        "A computer was used to give a proof of the theorem.",
        "Geometry was his favourite subject at school.",
    ),
    Triple(
        "The lake freezes every January.",
        "Each year in January ice covers the lake.",
        "In July the town is full of tourists.",
    ),
    Triple(
        "The actress refused to speak to the newspapers.",
        "Journalists got no answer from the actress.",
        "The film was shown at the festival in Venice.",
    ),
    Triple(
        "A truck spilled oil on the motorway.",
        "Oil leaked from a lorry onto the highway.",
        "The speed limit on country roads is eighty.",
    ),
    Triple(
        "The vaccine protects nine out of ten people.",
        "Ninety percent of those vaccinated are protected.",
        "The nurse measured his blood pressure.",
    ),
    Triple(
        "Monkeys use stones to open nuts.",
        "To crack nuts, monkeys employ rocks as tools.",
        "Elephants remember the paths to water holes.",
    ),
    Triple(
        "The roof of the station was damaged by hail.",
        "Hailstones harmed the roof of the railway station.",
        "The express train does not stop in our town.",
    ),
    Triple(
        "She speaks Portuguese better than Spanish.",
        "Her Portuguese is stronger than her Spanish.",
        "The dictionary has more than forty thousand entries.",
    ),
    Triple(
        "The court sentenced the smuggler to five years in prison.",
        "Five years in jail was the smuggler's sentence.",
        "The customs office checks every tenth container.",
    ),
    Triple(
        "The experiment failed because the sensor was not calibrated.",
        "An uncalibrated sensor was the reason why the experiment went wrong.",
        "The laboratory ordered a new microscope.",
    ),
    Triple(
        "Our neighbour keeps chickens in his garden.",
        "The man next door has hens in the yard.",
        "The hedge between the houses is three metres high.",
    ),
    Triple(
        "The queue in front of the theatre reached around the block.",
        "People stood in line around the corner from the theatre.",
        "The play has been translated into ten languages.",
    ),
    Triple(
        "Coffee prices doubled after the drought in Brazil.",
        "Since the Brazilian drought coffee has become twice as expensive.",
        "She drinks her tea without sugar.",
    ),
    Triple(
        "The satellite takes a photograph of the same place every five days.",
        "Every fifth day the same spot is photographed from orbit.",
        "The rocket was launched from an island near the equator.",
    ),
)
