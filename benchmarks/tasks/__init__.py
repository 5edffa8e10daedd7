"""Small evaluation sets with labels by construction, one file a model of the zoo; `run.py` compares models.

| model | evaluated on | judged by |
|---|---|---|
| ppocr-det | 60 drawn pages of three sizes, about 500 lines | F1 of boxes at IoU 0.5 |
| ppocr-rec | 400 drawn lines in 13 fonts, 7 of them unseen in calibration | exact match |
| ppocr-cls | 400 drawn lines, half of them upside down | accuracy |
| ddddocr | 400 drawn captchas | exact match, case aside |
| magika | about 600 files of 43 types, made by the standard library and PIL or found in it | accuracy |
| silero-vad | 8 streams of espeak-ng, hum, chords, clicks and noise, 4982 frames | decisions as float |
| effnet-lite0 | 480 crops of 12 photographs | first class as float |
| minilm | 120 sentences and 40 longer texts, 120 pairs of three grades | cosine to float |
| digits | the 500 images that ship with the demo | accuracy |

Calibration data come from other words, sentences, photographs, files and seeds. Nothing is fetched but pinned
wheels: fonts, photographs, and the speech synthesizer's library.
"""
