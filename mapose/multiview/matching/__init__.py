"""Who is who in all views.

In the order of the work: `observations` makes detections ready for geometry, `grouping` and
`tracks3d` begin animals in space, `following` carries them on from frame to frame (`likelihood`,
`assigning`, `updating`, `regrouping`), `tracklets2d` cuts the 2D tracks of each camera, `joining`
and `individuals` make animals of the tracklets, `mirror` exchanges left and right, and `identities`
puts all of it together and names the rows.
"""
